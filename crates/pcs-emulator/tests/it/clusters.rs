//! Clusters: life, conflicts, quotas, updates, identifiers, suspension.

use pcs_emulator::{DeletedIds, Options, UnknownIds};
use serde_json::{Value, json};

use crate::world::{World, cluster_body, group_body, id_in};

#[test]
fn a_look_from_beside_sees_what_pcs_answers_and_is_no_call() {
    let world = World::new();
    let id = world.cluster("demo");
    let group = world.group(&id, "compute");
    world.queue(&id, "work", &group);
    world.settle();
    world.ok(
        "DeleteQueue",
        &json!({"clusterIdentifier": id, "queueIdentifier": "work"}),
    );
    let (calls, stored) = (world.emulator.calls().len(), world.emulator.snapshot().unwrap());

    let [mut seen] = <[Value; 1]>::try_from(world.emulator.clusters()).unwrap();
    assert_eq!(seen["computeNodeGroups"][0]["status"], "ACTIVE");
    assert_eq!(seen["queues"][0]["status"], "DELETING");
    assert!(!seen.to_string().contains("secret"));
    assert_eq!(world.emulator.calls().len(), calls);
    assert_eq!(world.emulator.snapshot().unwrap(), stored);

    let asked = json!({"clusterIdentifier": id, "computeNodeGroupIdentifier": group});
    let answered = &world.ok("GetComputeNodeGroup", &asked)["computeNodeGroup"];
    assert_eq!(&seen["computeNodeGroups"][0], answered);
    let members = seen.as_object_mut().unwrap();
    let beside = ["computeNodeGroups", "queues", "accountId", "region"].map(|name| members.remove(name));
    assert_eq!(
        beside[2..],
        [Some(json!("123456789012")), Some(json!("us-east-1"))]
    );
    // What PCS makes for a cluster that was up, its endpoints and secrets, is left out.
    let answered = world.ok("GetCluster", &json!({"clusterIdentifier": id}));
    for (name, value) in members {
        if name != "slurmConfiguration" {
            assert_eq!(value, &answered["cluster"][name.as_str()], "{name}");
        }
    }
    world.settle();
    assert_eq!(world.emulator.clusters()[0]["queues"], json!([]));
}

#[test]
fn a_cluster_is_created_shown_and_deleted() {
    let world = World::new();
    let created = world.ok("CreateCluster", &cluster_body("demo"));
    let cluster = &created["cluster"];
    assert_eq!(cluster["status"], "CREATING");
    assert_eq!(cluster["createdAt"], cluster["modifiedAt"]);
    let id = id_in(&created, "cluster");
    assert_eq!(
        cluster["arn"],
        format!("arn:aws:pcs:us-east-1:123456789012:cluster/{id}")
    );
    let (prefix, rest) = id.split_at(4);
    assert_eq!((prefix, rest.len()), ("pcs_", 10));
    assert!(rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));

    world.settle();
    let shown = world.ok("GetCluster", &json!({"clusterIdentifier": "demo"}));
    let shown = shown["cluster"].as_object().unwrap();
    assert_eq!(shown["status"], "ACTIVE");
    // The members of the User Guide's GetCluster sample, and no default that was never set.
    let members: Vec<&str> = shown.keys().map(String::as_str).collect();
    let sample = [
        "arn",
        "createdAt",
        "endpoints",
        "id",
        "modifiedAt",
        "name",
        "networking",
        "scheduler",
        "size",
        "slurmConfiguration",
        "status",
    ];
    assert_eq!(members, sample);
    let prefix = format!("arn:aws:secretsmanager:us-east-1:123456789012:secret:pcs!slurm-secret-{id}-");
    let auth_key = shown["slurmConfiguration"]["authKey"]["secretArn"]
        .as_str()
        .unwrap();
    assert_eq!(auth_key.strip_prefix(&prefix).unwrap().len(), 6);
    assert_eq!(shown["endpoints"][0]["type"], "SLURMCTLD");
    assert_eq!(shown["endpoints"][0]["port"], "6817");

    assert_eq!(
        world.ok("DeleteCluster", &json!({"clusterIdentifier": id})),
        json!({})
    );
    assert_eq!(world.cluster_status(&id), "DELETING");
    assert_eq!(
        world
            .refused("DeleteCluster", &json!({"clusterIdentifier": id}))
            .code(),
        "ConflictException"
    );
    world.settle();
    assert_eq!(world.ok("ListClusters", &json!({})), json!({"clusters": []}));
}

#[test]
fn rest_and_accounting_have_endpoints_and_keys() {
    let world = World::new();
    let mut body = cluster_body("demo");
    body["slurmConfiguration"] =
        json!({"accounting": {"mode": "STANDARD"}, "slurmRest": {"mode": "STANDARD"}});
    body["networking"]["networkType"] = json!("IPV6");
    world.ok("CreateCluster", &body);
    world.settle();
    let shown = world.ok("GetCluster", &json!({"clusterIdentifier": "demo"}))["cluster"].clone();
    assert!(shown["slurmConfiguration"]["jwtAuth"]["jwtKey"]["secretArn"].is_string());
    let endpoints = shown["endpoints"].as_array().unwrap();
    let ports: Vec<(&str, &str)> = endpoints
        .iter()
        .map(|e| (e["type"].as_str().unwrap(), e["port"].as_str().unwrap()))
        .collect();
    assert_eq!(
        ports,
        [
            ("SLURMCTLD", "6817"),
            ("SLURMDBD", "6819"),
            ("SLURMRESTD", "6820")
        ]
    );
    assert!(
        endpoints
            .iter()
            .all(|e| e["privateIpAddress"] == "" && e["ipv6Address"].is_string())
    );
}

#[test]
fn names_and_quotas_are_kept() {
    let world = World::new();
    world.ok("CreateCluster", &cluster_body("one"));
    let second = world.refused("CreateCluster", &cluster_body("two"));
    assert_eq!(
        second.code(),
        "ServiceQuotaExceededException",
        "one cluster may be CREATING"
    );
    assert_eq!(second.body["serviceCode"], "pcs");
    world.settle();
    let same = world.refused("CreateCluster", &cluster_body("one"));
    assert_eq!(same.code(), "ConflictException");
    assert_eq!(same.body["resourceType"], "cluster");
    for name in ["two", "three", "four", "five"] {
        world.cluster(name);
    }
    assert_eq!(
        world.refused("CreateCluster", &cluster_body("six")).code(),
        "ServiceQuotaExceededException"
    );
    let elsewhere = World {
        region: "eu-west-1",
        ..world
    };
    elsewhere.ok("CreateCluster", &cluster_body("one"));
}

#[test]
fn what_the_shape_cannot_say_is_refused_with_its_field() {
    let world = World::new();
    let check = |change: &dyn Fn(&mut Value), fields: &[&str]| {
        let mut body = cluster_body("demo");
        change(&mut body);
        let failure = world.refused("CreateCluster", &body);
        assert_eq!(failure.code(), "ValidationException");
        assert_eq!(failure.body["reason"], "fieldValidationFailed");
        assert_eq!(failure.fields(), fields, "{failure:?}");
    };
    check(&|b| b["networking"] = json!({}), &["networking.subnetIds"]);
    check(
        &|b| b["networking"]["subnetIds"] = json!(["subnet-00000001", "subnet-00000002"]),
        &["networking.subnetIds"],
    );
    check(
        &|b| b["scheduler"]["version"] = json!("23.11"),
        &["scheduler.version"],
    );
    check(&|b| b["tags"] = json!({"aws:x": "1"}), &["tags.aws:x"]);
    let accounting =
        |days: i32, mode: &str| json!({"accounting": {"mode": mode, "defaultPurgeTimeInDays": days}});
    let purge = "slurmConfiguration.accounting.defaultPurgeTimeInDays";
    check(&|b| b["slurmConfiguration"] = accounting(0, "STANDARD"), &[purge]);
    check(
        &|b| b["slurmConfiguration"] = accounting(10_001, "NONE"),
        &[purge],
    );
    check(
        &|b| {
            b["scheduler"]["version"] = json!("24.11");
            b["slurmConfiguration"] = json!({"slurmRest": {"mode": "STANDARD"}});
        },
        &["slurmConfiguration.slurmRest.mode"],
    );
    check(
        &|b| b["slurmConfiguration"] = json!({"slurmCustomSettings": []}),
        &["slurmConfiguration.slurmCustomSettings"],
    );
    check(
        &|b| {
            let set = |name| json!([{"parameterName": name, "parameterValue": "1"}]);
            b["slurmConfiguration"] = json!({
                "slurmCustomSettings": set("Nonsense"),
                "cgroupCustomSettings": set("Nonsense"),
                "slurmdbdCustomSettings": set("CommitDelay"),
            });
        },
        &[
            "slurmConfiguration.slurmCustomSettings[0].parameterName",
            "slurmConfiguration.slurmdbdCustomSettings[0].parameterName",
            "slurmConfiguration.cgroupCustomSettings[0].parameterName",
        ],
    );
}

/// The table of the User Guide, "Version compatibility", and 26.05 from the API model.
#[test]
fn versions_go_up_by_the_published_matrix() {
    let versions = ["23.11", "24.05", "24.11", "25.05", "25.11", "26.05"];
    let matrix: [(&str, &[&str]); 6] = [
        ("23.11", &["24.05", "24.11", "25.05"]),
        ("24.05", &["24.11", "25.05", "25.11"]),
        ("24.11", &["25.05", "25.11", "26.05"]),
        ("25.05", &["25.11", "26.05"]),
        ("25.11", &["26.05"]),
        ("26.05", &[]),
    ];
    for (from, targets) in matrix {
        for to in versions {
            let creatable = Some(versions.map(str::to_owned).to_vec());
            let world = World::with(Options {
                creatable_versions: creatable,
                ..Options::default()
            });
            let id = world.cluster_of("demo", from, "SMALL");
            let update = json!({"clusterIdentifier": id, "scheduler": {"version": to}});
            if targets.contains(&to) {
                let updated = world.ok("UpdateCluster", &update);
                assert_eq!(updated["cluster"]["status"], "UPDATING");
                assert_eq!(updated["cluster"]["scheduler"]["version"], to);
            } else {
                assert_eq!(
                    world.refused("UpdateCluster", &update).fields(),
                    ["scheduler.version"],
                    "{from}->{to}"
                );
            }
        }
    }
}

#[test]
fn an_update_waits_for_everything_in_the_cluster() {
    let world = World::new();
    let cluster = world.cluster("demo");
    let group = world.group(&cluster, "nodes");
    let queue = world.queue(&cluster, "work", &group);
    let update =
        json!({"clusterIdentifier": cluster, "slurmConfiguration": {"scaleDownIdleTimeInSeconds": 60}});
    world.ok(
        "UpdateQueue",
        &json!({"clusterIdentifier": cluster, "queueIdentifier": queue}),
    );
    let busy = world.refused("UpdateCluster", &update);
    assert_eq!(
        (busy.code(), &busy.body["resourceId"]),
        ("ConflictException", &json!(queue))
    );
    world.settle();
    world.ok("UpdateCluster", &update);
    assert_eq!(
        world.refused("UpdateCluster", &update).code(),
        "ConflictException"
    );
    let child = world.refused("CreateComputeNodeGroup", &group_body(&cluster, "more"));
    assert_eq!(child.code(), "ConflictException", "the cluster isn't ACTIVE");
    world.settle();
    assert_eq!(world.cluster_status(&cluster), "ACTIVE");
}

#[test]
fn an_update_merges_the_configuration() {
    let world = World::new();
    let cluster = world.cluster("demo");
    let update = |configuration: Value| {
        let body = json!({"clusterIdentifier": cluster, "slurmConfiguration": configuration});
        world.ok("UpdateCluster", &body);
        world.settle();
        world.ok("GetCluster", &json!({"clusterIdentifier": cluster}))["cluster"]["slurmConfiguration"]
            .clone()
    };
    update(json!({"accounting": {"mode": "STANDARD"}, "scaleDownIdleTimeInSeconds": 60}));
    let prolog = json!([{"parameterName": "Prolog", "parameterValue": "/p.sh"}]);
    let after = update(json!({"accounting": {"defaultPurgeTimeInDays": 30}, "slurmCustomSettings": prolog}));
    assert_eq!(
        after["accounting"],
        json!({"mode": "STANDARD", "defaultPurgeTimeInDays": 30})
    );
    assert_eq!(after["scaleDownIdleTimeInSeconds"], 60);
    assert_eq!(after["slurmCustomSettings"], prolog);
    assert!(after["authKey"]["secretArn"].is_string());
    assert!(
        update(json!({"slurmCustomSettings": []}))
            .get("slurmCustomSettings")
            .is_none()
    );

    let enforce = json!([{"parameterName": "AccountingStorageEnforce", "parameterValue": "limits"}]);
    update(json!({"slurmCustomSettings": enforce}));
    let off = json!({"clusterIdentifier": cluster, "slurmConfiguration": {"accounting": {"mode": "NONE"}}});
    let fields = ["slurmConfiguration.slurmCustomSettings[0].parameterName"];
    assert_eq!(
        world.refused("UpdateCluster", &off).fields(),
        fields,
        "a setting needs accounting"
    );
}

#[test]
fn a_cluster_that_holds_something_is_not_deleted() {
    let world = World::new();
    let cluster = world.cluster("demo");
    let group = world.group(&cluster, "nodes");
    let queue = world.queue(&cluster, "work", &group);
    let failure = world.refused("DeleteCluster", &json!({"clusterIdentifier": cluster}));
    assert_eq!(failure.code(), "ConflictException");
    assert!(
        failure.message().contains(&group) && failure.message().contains(&queue),
        "{failure:?}"
    );
}

#[test]
fn identifiers_that_name_nothing() {
    let ask = |options: Options, identifier: &str| {
        let world = World::with(options);
        let gone = world.cluster("gone");
        world.ok("DeleteCluster", &json!({"clusterIdentifier": gone}));
        world.settle();
        let identifier = if identifier == "GONE" {
            gone.as_str()
        } else {
            identifier
        };
        world
            .refused("GetCluster", &json!({"clusterIdentifier": identifier}))
            .code()
            .to_owned()
    };
    assert_eq!(ask(Options::default(), "pcs_donotexist"), "AccessDeniedException");
    assert_eq!(ask(Options::default(), "nobody"), "ResourceNotFoundException");
    assert_eq!(ask(Options::default(), "gone"), "ResourceNotFoundException");
    assert_eq!(ask(Options::default(), "GONE"), "ResourceNotFoundException");
    let not_found = || Options {
        unknown_ids: UnknownIds::NotFound,
        ..Options::default()
    };
    assert_eq!(ask(not_found(), "pcs_donotexist"), "ResourceNotFoundException");
    let as_unknown = || Options {
        deleted_ids: DeletedIds::AsUnknown,
        ..Options::default()
    };
    assert_eq!(ask(as_unknown(), "GONE"), "AccessDeniedException");
}

#[test]
fn accounts_and_regions_are_apart() {
    let world = World::new();
    let id = world.cluster("demo");
    let get = json!({"clusterIdentifier": id});
    let region = World {
        emulator: world.emulator.clone(),
        region: "eu-west-1",
        ..World::new()
    };
    assert_eq!(region.refused("GetCluster", &get).code(), "AccessDeniedException");
    let account = World {
        emulator: world.emulator.clone(),
        access_key: "999999999999",
        ..World::new()
    };
    assert_eq!(
        account.refused("GetCluster", &get).code(),
        "AccessDeniedException"
    );
    let arn = format!("arn:aws:pcs:us-east-1:123456789012:cluster/{id}");
    let tags = account.refused("ListTagsForResource", &json!({"resourceArn": arn}));
    assert_eq!(tags.code(), "ResourceNotFoundException");
    let other = account.ok("CreateCluster", &cluster_body("demo"));
    assert!(
        other["cluster"]["arn"]
            .as_str()
            .unwrap()
            .starts_with("arn:aws:pcs:us-east-1:999999999999:")
    );
    let china = World {
        emulator: world.emulator.clone(),
        region: "cn-north-1",
        ..World::new()
    };
    let there = china.ok("CreateCluster", &cluster_body("demo"));
    assert!(
        there["cluster"]["arn"]
            .as_str()
            .unwrap()
            .starts_with("arn:aws-cn:pcs:cn-north-1:")
    );
}

#[test]
fn a_suspended_cluster_can_be_resumed_or_taken_apart() {
    let world = World::new();
    let cluster = world.cluster("demo");
    let group = world.group(&cluster, "nodes");
    assert!(world.emulator.suspend(&cluster).unwrap());
    assert_eq!(world.cluster_status(&cluster), "SUSPENDING");
    world.settle();
    assert_eq!(world.cluster_status(&cluster), "SUSPENDED");
    assert_eq!(world.group_status(&cluster, &group), "SUSPENDED");
    let create = world.refused("CreateComputeNodeGroup", &group_body(&cluster, "more"));
    assert_eq!(create.code(), "ConflictException");
    let update = json!({"clusterIdentifier": cluster, "scheduler": {"version": "26.05"}});
    world.ok("UpdateCluster", &update);
    assert_eq!(world.group_status(&cluster, &group), "RESUMING");
    world.settle();
    assert_eq!(world.cluster_status(&cluster), "ACTIVE");
    assert_eq!(world.group_status(&cluster, &group), "ACTIVE");

    world.emulator.suspend(&cluster).unwrap();
    world.settle();
    world.ok(
        "DeleteComputeNodeGroup",
        &json!({"clusterIdentifier": cluster, "computeNodeGroupIdentifier": group}),
    );
    world.settle();
    world.ok("DeleteCluster", &json!({"clusterIdentifier": cluster}));
    assert!(!world.emulator.suspend("pcs_nothinghere").unwrap());
}
