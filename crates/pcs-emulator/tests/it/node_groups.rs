//! Compute node groups: launch templates, capacity, instance profiles, Slurm settings, registration.

use std::sync::Arc;

use pcs_emulator::{InstanceProfiles, Options};
use serde_json::{Value, json};

use crate::world::{PROFILE, World, group_body, id_in};

fn managed(cluster: &str, name: &str) -> Value {
    let mut body = group_body(cluster, name);
    body.as_object_mut().unwrap().remove("customLaunchTemplate");
    body["launchTemplateMode"] = json!("MANAGED");
    body["amiId"] = json!("ami-0123456789abcdef0");
    body["securityGroupIds"] = json!(["sg-0123456789abcdef0"]);
    body
}

#[test]
fn launch_template_modes_exclude_each_other() {
    let world = World::new();
    let cluster = world.cluster("demo");
    world.ok("CreateComputeNodeGroup", &managed(&cluster, "managed"));
    let mut body = managed(&cluster, "other");
    body.as_object_mut().unwrap().remove("amiId");
    body["securityGroupIds"] = json!([]);
    body["customLaunchTemplate"] = json!({"id": "lt-1", "version": "1"});
    let fields = ["customLaunchTemplate", "amiId", "securityGroupIds"];
    assert_eq!(world.refused("CreateComputeNodeGroup", &body).fields(), fields);
    let mut body = group_body(&cluster, "other");
    body.as_object_mut().unwrap().remove("customLaunchTemplate");
    assert_eq!(
        world.refused("CreateComputeNodeGroup", &body).fields(),
        ["customLaunchTemplate"]
    );
}

/// The sentences on `launchTemplateMode` and the clearable members in the API model.
#[test]
fn an_update_switches_modes_and_clears_members() {
    let world = World::new();
    let cluster = world.cluster("demo");
    let group = world.group(&cluster, "nodes");
    let names = json!({"clusterIdentifier": cluster, "computeNodeGroupIdentifier": group});
    let with = |members: Value| {
        let mut body = names.clone();
        body.as_object_mut()
            .unwrap()
            .extend(members.as_object().unwrap().clone());
        body
    };
    let update = |members: Value| {
        let updated = world.ok("UpdateComputeNodeGroup", &with(members))["computeNodeGroup"].clone();
        assert_eq!(updated["status"], "UPDATING");
        world.settle();
        updated
    };
    let refused = |members: Value| world.refused("UpdateComputeNodeGroup", &with(members));

    assert_eq!(
        refused(json!({"launchTemplateMode": "MANAGED"})).fields(),
        ["amiId", "securityGroupIds"]
    );
    update(json!({"amiId": "ami-1", "securityGroupIds": ["sg-00000001"], "sshKeyName": "key"}));
    let managed = update(json!({"launchTemplateMode": "MANAGED"}));
    assert!(managed.get("customLaunchTemplate").is_none());
    let template = json!({"id": "lt-2", "version": "2"});
    let fields = refused(json!({"customLaunchTemplate": template}));
    assert!(fields.fields().contains(&"launchTemplateMode"), "{fields:?}");
    assert_eq!(refused(json!({"amiId": ""})).fields(), ["amiId"]);
    let custom = json!({"launchTemplateMode": "CUSTOM", "customLaunchTemplate": template, "amiId": "",
        "securityGroupIds": [], "sshKeyName": ""});
    let custom = update(custom);
    assert_eq!(custom["customLaunchTemplate"], template);
    for cleared in ["amiId", "securityGroupIds", "sshKeyName"] {
        assert!(custom.get(cleared).is_none(), "{cleared}");
    }
    // Immutable members are not members of the update: PCS ignores what it does not know.
    let kept = update(json!({"computeNodeGroupName": "other", "instanceConfigs": [{"instanceType": "x"}]}));
    assert_eq!(kept["name"], "nodes");
    assert_eq!(kept["instanceConfigs"], json!([{"instanceType": "c6i.xlarge"}]));
}

#[test]
fn spot_options_belong_to_spot() {
    let world = World::new();
    let cluster = world.cluster("demo");
    let mut body = group_body(&cluster, "nodes");
    body["spotOptions"] = json!({"allocationStrategy": "lowest-price"});
    assert_eq!(
        world.refused("CreateComputeNodeGroup", &body).fields(),
        ["spotOptions"]
    );
    body["purchaseOption"] = json!("SPOT");
    let id = id_in(&world.ok("CreateComputeNodeGroup", &body), "computeNodeGroup");
    world.settle();
    let update =
        json!({"clusterIdentifier": cluster, "computeNodeGroupIdentifier": id, "purchaseOption": "ONDEMAND"});
    let updated = world.ok("UpdateComputeNodeGroup", &update);
    assert!(updated["computeNodeGroup"].get("spotOptions").is_none());
}

#[test]
fn capacity_is_limited_by_the_size_of_the_cluster() {
    for (size, most) in [("SMALL", 32), ("MEDIUM", 512), ("LARGE", 2048)] {
        let world = World::new();
        let cluster = world.cluster_of("demo", "25.11", size);
        let mut body = group_body(&cluster, "one");
        body["scalingConfiguration"]["maxInstanceCount"] = json!(most - 1);
        world.ok("CreateComputeNodeGroup", &body);
        let mut body = group_body(&cluster, "two");
        body["scalingConfiguration"]["maxInstanceCount"] = json!(2);
        let failure = world.refused("CreateComputeNodeGroup", &body);
        assert_eq!(failure.code(), "ServiceQuotaExceededException", "{size}");
        let two = world.group(&cluster, "two");
        let scaling = json!({"minInstanceCount": 0, "maxInstanceCount": 2});
        let update = json!({"clusterIdentifier": cluster, "computeNodeGroupIdentifier": two,
            "scalingConfiguration": scaling});
        assert_eq!(
            world.refused("UpdateComputeNodeGroup", &update).code(),
            "ServiceQuotaExceededException"
        );
    }
}

#[test]
fn an_update_that_may_be_rolled_back_gives_nothing_away_yet() {
    let world = World::new();
    let cluster = world.cluster("demo");
    let group = |name: &str, max: i64| {
        let mut body = group_body(&cluster, name);
        body["scalingConfiguration"]["maxInstanceCount"] = json!(max);
        body
    };
    let large = world.ok("CreateComputeNodeGroup", &group("large", 32))["computeNodeGroup"]["id"].clone();
    world.settle();
    let large_id = large.as_str().unwrap();
    let queue = world.queue(&cluster, "work", large_id);
    let names = json!({"clusterIdentifier": cluster, "computeNodeGroupIdentifier": large});
    let mut shrink = names.clone();
    shrink["scalingConfiguration"] = json!({"minInstanceCount": 0, "maxInstanceCount": 1});
    world.ok("UpdateComputeNodeGroup", &shrink);
    let early = world.refused("CreateComputeNodeGroup", &group("other", 31));
    assert_eq!(early.code(), "ServiceQuotaExceededException");
    world.settle();
    world.ok("CreateComputeNodeGroup", &group("other", 31));

    let emptied = json!({"clusterIdentifier": cluster, "queueIdentifier": queue,
        "computeNodeGroupConfigurations": []});
    world.ok("UpdateQueue", &emptied);
    assert_eq!(
        world.refused("DeleteComputeNodeGroup", &names).code(),
        "ConflictException"
    );
    assert!(
        world
            .emulator
            .fail_resource(&queue, "InvalidInput", "no")
            .unwrap()
    );
    let shown = world.ok(
        "GetQueue",
        &json!({"clusterIdentifier": cluster, "queueIdentifier": queue}),
    );
    let kept = json!([{"computeNodeGroupId": large}]);
    assert_eq!(shown["queue"]["computeNodeGroupConfigurations"], kept);
    world.ok("UpdateQueue", &emptied);
    world.settle();
    world.ok("DeleteComputeNodeGroup", &names);
}

#[test]
fn ten_groups_and_no_two_of_a_name() {
    let world = World::new();
    let cluster = world.cluster("demo");
    for number in 0..10 {
        world.ok(
            "CreateComputeNodeGroup",
            &group_body(&cluster, &format!("nodes{number}")),
        );
    }
    let same = world.refused("CreateComputeNodeGroup", &group_body(&cluster, "nodes0"));
    assert_eq!(
        (same.code(), &same.body["resourceType"]),
        ("ConflictException", &json!("computenodegroup"))
    );
    let eleventh = world.refused("CreateComputeNodeGroup", &group_body(&cluster, "more"));
    assert_eq!(eleventh.code(), "ServiceQuotaExceededException");
}

#[test]
fn an_instance_profile_must_pass() {
    let known = |arn: &str| arn == PROFILE;
    let options = Options {
        instance_profiles: InstanceProfiles::Known(Arc::new(known)),
        ..Options::default()
    };
    let world = World::with(options);
    let cluster = world.cluster("demo");
    let group = world.group(&cluster, "nodes");
    for arn in [
        "arn:aws:iam::123456789012:instance-profile/unknown",
        "arn:aws:iam::975050141277:instance-profile/aws-pcs/example-role-2",
    ] {
        let mut body = group_body(&cluster, "more");
        body["iamInstanceProfileArn"] = json!(arn);
        assert_eq!(
            world.refused("CreateComputeNodeGroup", &body).code(),
            "AccessDeniedException"
        );
        let update = json!({"clusterIdentifier": cluster, "computeNodeGroupIdentifier": group,
            "iamInstanceProfileArn": arn});
        assert_eq!(
            world.refused("UpdateComputeNodeGroup", &update).code(),
            "AccessDeniedException"
        );
    }
}

#[test]
fn slurm_features_have_their_first_version() {
    let world = World::new();
    let old = world.cluster_of("old", "25.05", "SMALL");
    let new = world.cluster_of("new", "25.11", "SMALL");
    let setting =
        |name: &str| json!({"slurmCustomSettings": [{"parameterName": name, "parameterValue": "1"}]});
    let cases = [
        json!({"scaleDownIdleTimeInSeconds": 60}),
        setting("Sockets"),
        setting("Parameters"),
        json!({"gresCustomSettings": [{"AutoDetect": "nvml"}]}),
    ];
    for (number, configuration) in cases.iter().enumerate() {
        let mut body = group_body(&old, &format!("nodes{number}"));
        body["slurmConfiguration"] = configuration.clone();
        let failure = world.refused("CreateComputeNodeGroup", &body);
        assert_eq!(failure.fields().len(), 1, "{failure:?}");
        body["clusterIdentifier"] = json!(new);
        world.ok("CreateComputeNodeGroup", &body);
    }
    world.settle();
    let removed = json!({"clusterIdentifier": new, "computeNodeGroupIdentifier": "nodes0",
        "slurmConfiguration": {"scaleDownIdleTimeInSeconds": -1}});
    let updated = world.ok("UpdateComputeNodeGroup", &removed);
    assert!(updated["computeNodeGroup"].get("slurmConfiguration").is_none());
}

/// On creation, and on an update that would take the number of sockets away.
#[test]
fn settings_of_a_group_agree_with_each_other() {
    let world = World::new();
    let cluster = world.cluster_of("demo", "25.11", "SMALL");
    let set = |settings: &[(&str, &str)]| {
        let list: Vec<Value> = settings
            .iter()
            .map(|(name, value)| json!({"parameterName": name, "parameterValue": value}))
            .collect();
        json!({"slurmCustomSettings": list})
    };
    let parameters = ("Parameters", "l3cache_as_socket");
    let mut body = group_body(&cluster, "nodes");
    for refused in [
        &[parameters][..],
        &[parameters, ("Sockets", "abc")],
        &[("Sockets", "abc")],
    ] {
        body["slurmConfiguration"] = set(refused);
        let failure = world.refused("CreateComputeNodeGroup", &body);
        assert_eq!(
            (failure.code(), failure.fields().len()),
            ("ValidationException", 1),
            "{refused:?}"
        );
    }
    let mut configuration = set(&[
        parameters,
        ("Sockets", "24"),
        ("Gres", "bandwidth:lustre:no_consume:4G"),
    ]);
    configuration["gresCustomSettings"] = json!([{"Name": "bandwidth", "Type": "lustre", "Count": "4G"}]);
    body["slurmConfiguration"] = configuration;
    world.ok("CreateComputeNodeGroup", &body);
    world.settle();
    let update = json!({"clusterIdentifier": cluster, "computeNodeGroupIdentifier": "nodes",
        "slurmConfiguration": set(&[parameters])});
    assert_eq!(
        world.refused("UpdateComputeNodeGroup", &update).code(),
        "ValidationException"
    );
}

#[test]
fn requests_with_several_faults_name_them_all() {
    let world = World::new();
    let cluster = world.cluster("demo");
    let script = |name: &str| {
        let source = json!({"scriptLocation": "https://example.com/x.sh", "s3VersionId": "1"});
        json!({"name": name, "scriptSource": source})
    };
    let mut body = group_body(&cluster, "nodes");
    body["subnetIds"] = json!(["nonsense"]);
    body["scalingConfiguration"] = json!({"minInstanceCount": 2, "maxInstanceCount": 1});
    body["instanceConfigs"] = json!([{}]);
    body["nodeLifecycleActions"] = json!({"stages": {"nodeReady": [script("a"), script("a")]}});
    let failure = world.refused("CreateComputeNodeGroup", &body);
    let ready = "nodeLifecycleActions.stages.nodeReady";
    let expected = [
        "subnetIds[0]".to_owned(),
        format!("{ready}[0].scriptSource.s3VersionId"),
        format!("{ready}[1].name"),
        format!("{ready}[1].scriptSource.s3VersionId"),
        "scalingConfiguration.minInstanceCount".to_owned(),
        "instanceConfigs[0].instanceType".to_owned(),
    ];
    assert_eq!(failure.fields(), expected);
}

#[test]
fn a_group_in_a_queue_is_not_deleted() {
    let world = World::new();
    let cluster = world.cluster("demo");
    let group = world.group(&cluster, "nodes");
    let queue = world.queue(&cluster, "work", &group);
    let delete = json!({"clusterIdentifier": cluster, "computeNodeGroupIdentifier": group});
    let failure = world.refused("DeleteComputeNodeGroup", &delete);
    assert_eq!(failure.code(), "ConflictException");
    assert!(failure.message().contains(&queue), "{failure:?}");
    let empty = json!({"clusterIdentifier": cluster, "queueIdentifier": queue,
        "computeNodeGroupConfigurations": []});
    world.ok("UpdateQueue", &empty);
    world.settle();
    world.ok("DeleteComputeNodeGroup", &delete);
    assert_eq!(world.group_status(&cluster, &group), "DELETING");
    world.settle();
    let get = world.refused("GetComputeNodeGroup", &delete);
    assert_eq!(
        (get.code(), &get.body["resourceId"]),
        ("ResourceNotFoundException", &json!(group))
    );
}

#[test]
fn a_node_registers_with_an_active_group_only() {
    let world = World::new();
    let cluster = world.cluster("demo");
    let register = |bootstrap: &str| json!({"clusterIdentifier": cluster, "bootstrapId": bootstrap});
    let action = "RegisterComputeNodeGroupInstance";
    assert_eq!(
        world.refused(action, &register("a")).code(),
        "AccessDeniedException"
    );
    let nobody = json!({"clusterIdentifier": "nobody", "bootstrapId": "a"});
    assert_eq!(world.refused(action, &nobody).code(), "AccessDeniedException");
    let group = world.group(&cluster, "nodes");
    let other = world.group(&cluster, "other");
    let first = world.ok(action, &register("a"));
    assert_eq!(first["nodeID"], "nodes-1");
    assert_eq!(first["computeNodeGroupId"], json!(group));
    assert_eq!(first["schedulerVersion"], "25.11");
    assert!(!first["sharedSecret"].as_str().unwrap().is_empty());
    assert_eq!(
        world.ok(action, &register("a")),
        first,
        "a retry is the same node"
    );
    assert_eq!(world.ok(action, &register("b"))["nodeID"], "nodes-2");
    let chosen = world.ok(action, &register(&format!("{other}/i-1")));
    assert_eq!(chosen["nodeID"], "other-1");
}
