//! Writes, by IAM's rules. Codes and statuses are those of the API reference; wordings are what AWS answers.

use serde_json::json;

use super::*;

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const ADMINISTRATOR: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

/// The form of a `CreateRole` with EC2's trust policy; `more` goes after it.
fn create_role(name: &str, more: &str) -> String {
    format!(
        "Action=CreateRole&RoleName={name}&AssumeRolePolicyDocument={}{more}",
        escaped(TRUST)
    )
}

/// A document of exactly `size` characters by IAM's count, and white space that does not count.
fn document(size: usize) -> String {
    let frame = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"pcs:*","Resource":""}}"#;
    let resource = format!(
        "arn:aws:s3:::{}",
        "b".repeat(size - frame.len() - "arn:aws:s3:::".len())
    );
    json!({"Version": "2012-10-17",
           "Statement": {"Effect": "Allow", "Action": "pcs:*", "Resource": resource}})
    .to_string()
    .replace("\"Statement\":", "\"Statement\"  :\n\t")
}

fn put(emulator: &Emulator, name: &str, document: &str) -> (u16, String) {
    let form = format!(
        "Action=PutRolePolicy&RoleName=AWSPCS-node&PolicyName={name}&PolicyDocument={}",
        escaped(document)
    );
    call(emulator, &form)
}

fn attach(policy_arn: &str) -> String {
    format!("Action=AttachRolePolicy&RoleName=AWSPCS-node&PolicyArn={policy_arn}")
}

#[test]
fn a_role_has_its_boundary_path_and_tags_from_the_start() {
    let emulator = emulator(100);
    let more = format!(
        "&Path=/aws-pcs/pcs-api/&PermissionsBoundary={BOUNDARY}&Description=made&MaxSessionDuration=7200\
         &Tags.member.1.Key=operation&Tags.member.1.Value=01J&Tags.member.2.Key=empty&Tags.member.2.Value="
    );
    let created = done(&emulator, &create_role("AWSPCS-new", &more));
    assert_eq!(text(&created, "PermissionsBoundaryArn"), BOUNDARY);
    let read = done(&emulator, "Action=GetRole&RoleName=AWSPCS-new");
    for xml in [&created, &read] {
        assert_eq!(
            text(xml, "Arn"),
            "arn:aws:iam::123456789012:role/aws-pcs/pcs-api/AWSPCS-new"
        );
        assert_eq!(text(xml, "Description"), "made");
        assert_eq!(text(xml, "MaxSessionDuration"), "7200");
        assert!(text(xml, "RoleId").starts_with("AROA"));
        assert_eq!(text(xml, "PermissionsBoundaryArn"), BOUNDARY);
        assert!(xml.contains("<Key>operation</Key>\n<Value>01J</Value>"), "{xml}");
    }
    let listed = done(&emulator, "Action=ListRoles&PathPrefix=/aws-pcs/pcs-api/");
    assert_eq!(listed.matches("<RoleName>").count(), 1);
    assert!(
        !listed.contains("Boundary") && !listed.contains("Tags"),
        "{listed}"
    );
    let tags = done(&emulator, "Action=ListRoleTags&RoleName=AWSPCS-new");
    assert!(
        tags.find("empty").unwrap() < tags.find("operation").unwrap(),
        "sorted by key: {tags}"
    );
    assert_eq!(
        refused(&emulator, &create_role("awspcs-NEW", "")),
        (409, "EntityAlreadyExists".to_owned())
    );
}

#[test]
fn a_role_that_iam_would_not_make() {
    let emulator = emulator(100);
    let two = "&Tags.member.1.Key=k&Tags.member.1.Value=&Tags.member.2.Key=K&Tags.member.2.Value=";
    for (name, more, code) in [
        (&*"r".repeat(65), "", "ValidationError"),
        ("a/b", "", "ValidationError"),
        ("", "", "ValidationError"),
        ("a", "&Path=aws-pcs", "ValidationError"),
        ("a", "&Path=/aws-service-role/pcs.amazonaws.com/", "InvalidInput"),
        ("a", "&MaxSessionDuration=60", "ValidationError"),
        (
            "a",
            "&PermissionsBoundary=arn:aws:iam::aws:role/not-a-policy",
            "InvalidInput",
        ),
        (
            "a",
            "&PermissionsBoundary=arn:aws-cn:iam::aws:policy/ReadOnlyAccess",
            "ValidationError",
        ),
        (
            "a",
            "&PermissionsBoundary=arn:aws:iam::123456789012:policy/team/boundary",
            "NoSuchEntity",
        ),
        ("a", "&Tags.member.1.Key=k", "ValidationError"),
        ("a", two, "InvalidInput"),
    ] {
        let form = create_role(name, more);
        assert_eq!(refused(&emulator, &form).1, code, "{name} {more}");
    }
    let trust = |document: &str| {
        let document = escaped(document);
        refused(
            &emulator,
            &format!("Action=CreateRole&RoleName=a&AssumeRolePolicyDocument={document}"),
        )
    };
    assert_eq!(trust("{").1, "MalformedPolicyDocument");
    assert_eq!(trust(&document(200)).1, "MalformedPolicyDocument");
    assert_eq!(trust("\u{2603}").1, "ValidationError");
    let long = TRUST.replace("ec2.", &"ec2.".repeat(500));
    assert_eq!(trust(&long), (409, "LimitExceeded".to_owned()));
    assert_eq!(refused(&emulator, "Action=GetRole&RoleName=a").0, 404);
}

#[test]
fn a_role_goes_only_when_nothing_hangs_on_it() {
    let emulator = fresh(Options::default());
    done(&emulator, &create_role("AWSPCS-node", ""));
    done(&emulator, &attach(NODE));
    assert_eq!(put(&emulator, "register", &document(200)).0, 200);
    done(&emulator, "Action=CreateInstanceProfile&InstanceProfileName=p");
    done(
        &emulator,
        "Action=AddRoleToInstanceProfile&InstanceProfileName=P&RoleName=awspcs-NODE",
    );
    let delete = "Action=DeleteRole&RoleName=AWSPCS-node";
    let conflict = |form: &str, what: &str| {
        let (status, xml) = call(&emulator, form);
        assert_eq!((status, text(&xml, "Code")), (409, "DeleteConflict"));
        assert!(text(&xml, "Message").contains(what), "{xml}");
    };
    conflict(delete, "detach all policies");
    done(
        &emulator,
        &format!("Action=DetachRolePolicy&RoleName=AWSPCS-node&PolicyArn={NODE}"),
    );
    conflict(delete, "must delete policies");
    done(
        &emulator,
        "Action=DeleteRolePolicy&RoleName=AWSPCS-node&PolicyName=REGISTER",
    );
    conflict(delete, "remove roles from instance profile");
    conflict(
        "Action=DeleteInstanceProfile&InstanceProfileName=p",
        "remove roles from instance profile",
    );
    let remove = "Action=RemoveRoleFromInstanceProfile&InstanceProfileName=p&RoleName=AWSPCS-node";
    done(&emulator, remove);
    assert_eq!(refused(&emulator, remove), (404, "NoSuchEntity".to_owned()));
    done(&emulator, "Action=DeleteInstanceProfile&InstanceProfileName=p");
    let answer = done(&emulator, delete);
    assert!(answer.contains("ResponseMetadata") && !answer.contains("DeleteRoleResult"));
    assert_eq!(refused(&emulator, delete).1, "NoSuchEntity");
    done(&emulator, &create_role("AWSPCS-node", ""));
}

#[test]
fn at_most_ten_managed_policies_that_exist() {
    let emulator = emulator(100);
    let own: Vec<String> = (0..9)
        .map(|n| format!("arn:aws:iam::123456789012:policy/parallelcluster/p{n}"))
        .collect();
    for arn in &own {
        assert_eq!(refused(&emulator, &attach(arn)), (404, "NoSuchEntity".to_owned()));
        let policy = Policy::new(arn, "{}");
        emulator.seed(Seed::new().policy(policy)).unwrap();
    }
    // Three are there already.
    own.iter()
        .take(7)
        .for_each(|arn| drop(done(&emulator, &attach(arn))));
    let (status, xml) = call(&emulator, &attach(&own[7]));
    assert_eq!((status, text(&xml, "Code")), (409, "LimitExceeded"));
    assert_eq!(
        text(&xml, "Message"),
        "Cannot exceed quota for PoliciesPerRole: 10"
    );
    done(&emulator, &attach(NODE));
    let detach = format!("Action=DetachRolePolicy&RoleName=AWSPCS-node&PolicyArn={NODE}");
    done(&emulator, &detach);
    assert_eq!(refused(&emulator, &detach), (404, "NoSuchEntity".to_owned()));
    done(&emulator, &attach(ADMINISTRATOR));
    for (arn, code) in [
        ("arn:aws:iam::aws:policy/AdministratorAcces", "NoSuchEntity"),
        ("arn:aws:iam::aws:policy/administratoraccess", "NoSuchEntity"),
        (
            "arn:aws:iam::999999999999:policy/parallelcluster/p1",
            "NoSuchEntity",
        ),
        (
            "arn:aws:iam::aws:policy/aws-service-role/AWSPCSServiceRolePolicy",
            "PolicyNotAttachable",
        ),
        ("arn:aws:iam::123456789012:role/AWSPCS-node", "InvalidInput"),
        (
            "arn:aws-us-gov:iam::aws:policy/AdministratorAccess",
            "ValidationError",
        ),
        ("short", "ValidationError"),
    ] {
        assert_eq!(refused(&emulator, &attach(arn)).1, code, "{arn}");
    }
    let more = fresh(Options {
        quotas: Quotas {
            managed_policies_per_role: 1,
            ..Quotas::default()
        },
        ..Options::default()
    });
    done(&more, &create_role("AWSPCS-node", ""));
    done(&more, &attach(NODE));
    assert_eq!(refused(&more, &attach(ADMINISTRATOR)).1, "LimitExceeded");
}

#[test]
fn inline_policies_have_one_budget_and_white_space_is_free() {
    let emulator = fresh(Options::default());
    done(&emulator, &create_role("AWSPCS-node", ""));
    assert_eq!(put(&emulator, "one", &document(10_000)).0, 200);
    assert_eq!(put(&emulator, "two", &document(240)).0, 200);
    let (status, xml) = put(&emulator, "three", &document(150));
    assert_eq!((status, text(&xml, "Code")), (409, "LimitExceeded"));
    assert_eq!(
        text(&xml, "Message"),
        "Maximum policy size of 10240 bytes exceeded for role AWSPCS-node"
    );
    assert_eq!(put(&emulator, "TWO", &document(241)).0, 409);
    assert_eq!(put(&emulator, "TWO", &document(239)).0, 200);
    let names = done(&emulator, "Action=ListRolePolicies&RoleName=AWSPCS-node");
    assert_eq!(names.matches("<member>").count(), 2, "replaced: {names}");
    assert_eq!(put(&emulator, "bad", TRUST).0, 400);
    assert_eq!(put(&emulator, "a/b", &document(150)).0, 400);
    let gone = "Action=DeleteRolePolicy&RoleName=AWSPCS-node&PolicyName=three";
    assert_eq!(refused(&emulator, gone), (404, "NoSuchEntity".to_owned()));
}

#[test]
fn an_instance_profile_holds_one_role() {
    let emulator = emulator(100);
    done(&emulator, &create_role("AWSPCS-other", ""));
    let tagged = "&Tags.member.1.Key=k&Tags.member.1.Value=1&Tags.member.2.Key=K&Tags.member.2.Value=2";
    let create = format!("Action=CreateInstanceProfile&InstanceProfileName=AWSPCS-p&Path=/aws-pcs/{tagged}");
    let created = done(&emulator, &create);
    assert_eq!(
        text(&created, "Arn"),
        "arn:aws:iam::123456789012:instance-profile/aws-pcs/AWSPCS-p"
    );
    assert_eq!(
        created.matches("<Key>").count(),
        2,
        "keys that differ in case only"
    );
    let again = create.replace("AWSPCS-p&", "awspcs-P&");
    assert_eq!(
        refused(&emulator, &again),
        (409, "EntityAlreadyExists".to_owned())
    );
    let add =
        |role: &str| format!("Action=AddRoleToInstanceProfile&InstanceProfileName=AWSPCS-p&RoleName={role}");
    assert_eq!(refused(&emulator, &add("gone")), (404, "NoSuchEntity".to_owned()));
    done(&emulator, &add("AWSPCS-other"));
    for role in ["AWSPCS-other", "AWSPCS-node"] {
        let (status, xml) = call(&emulator, &add(role));
        assert_eq!((status, text(&xml, "Code")), (409, "LimitExceeded"), "{role}");
        assert!(text(&xml, "Message").ends_with("InstanceSessionsPerInstanceProfile: 1"));
    }
    let held = done(
        &emulator,
        "Action=ListInstanceProfilesForRole&RoleName=awspcs-OTHER",
    );
    assert_eq!(text(&held, "InstanceProfileName"), "AWSPCS-p");
    let listed = done(&emulator, "Action=ListInstanceProfiles&PathPrefix=/aws-pcs/");
    assert_eq!(listed.matches("<InstanceProfileId>").count(), 2);
    assert!(!listed.contains("Tags"), "{listed}");
    let elsewhere = done(&emulator, "Action=ListInstanceProfiles&PathPrefix=/other/");
    assert!(!elsewhere.contains("<member>"), "{elsewhere}");
    let wrong = "Action=RemoveRoleFromInstanceProfile&InstanceProfileName=AWSPCS-p&RoleName=AWSPCS-node";
    assert_eq!(refused(&emulator, wrong), (404, "NoSuchEntity".to_owned()));
}

#[test]
fn tags_are_added_and_replaced() {
    let emulator = emulator(100);
    let tag = |what: &str, key: &str, value: &str| {
        call(
            &emulator,
            &format!("Action=Tag{what}&Tags.member.1.Key={key}&Tags.member.1.Value={value}"),
        )
        .0
    };
    let role = "Role&RoleName=AWSPCS-node";
    assert_eq!(tag(role, "team", "hpc"), 200);
    assert_eq!(tag(role, "TEAM", "ops"), 200);
    let tags = done(&emulator, "Action=ListRoleTags&RoleName=AWSPCS-node");
    assert!(tags.contains("<Key>TEAM</Key>\n<Value>ops</Value>"), "{tags}");
    assert_eq!(tags.matches("<Key>").count(), 2);
    let profile = "InstanceProfile&InstanceProfileName=AWSPCS-node";
    assert_eq!(tag(profile, "team", "hpc"), 200);
    assert_eq!(tag(profile, "TEAM", "ops"), 200);
    let tags = done(
        &emulator,
        "Action=ListInstanceProfileTags&InstanceProfileName=AWSPCS-node",
    );
    assert_eq!(tags.matches("<Key>").count(), 2);
    for n in 0..48 {
        assert_eq!(tag(profile, &format!("k{n}"), ""), 200);
    }
    assert_eq!(tag(profile, "one-too-many", ""), 409);
    assert_eq!(tag("Role&RoleName=gone", "k", ""), 404);
    assert_eq!(tag(role, "a*b", ""), 400);
}

#[test]
fn service_linked_roles_are_aws_s() {
    let emulator = emulator(100);
    let role = Role::new("AWSServiceRoleForPCS").path("/aws-service-role/pcs.amazonaws.com/");
    emulator.seed(Seed::new().role(role)).unwrap();
    for form in [
        "Action=DeleteRole",
        &format!("Action=AttachRolePolicy&PolicyArn={NODE}"),
        &format!("Action=DetachRolePolicy&PolicyArn={NODE}"),
        &format!(
            "Action=PutRolePolicy&PolicyName=a&PolicyDocument={}",
            escaped(&document(150))
        ),
        "Action=DeleteRolePolicy&PolicyName=a",
        "Action=AddRoleToInstanceProfile&InstanceProfileName=AWSPCS-node",
    ] {
        let form = format!("{form}&RoleName=AWSServiceRoleForPCS");
        assert_eq!(
            refused(&emulator, &form),
            (400, "UnmodifiableEntity".to_owned()),
            "{form}"
        );
    }
    done(
        &emulator,
        "Action=TagRole&RoleName=AWSServiceRoleForPCS&Tags.member.1.Key=k&Tags.member.1.Value=v",
    );
}

#[test]
fn policies_come_and_go() {
    let emulator = emulator(100);
    let create = |name: &str, size| {
        let document = escaped(&document(size));
        format!("Action=CreatePolicy&PolicyName={name}&Path=/team/&PolicyDocument={document}")
    };
    let created = done(&emulator, &create("Nodes", 6144));
    let arn = "arn:aws:iam::123456789012:policy/team/Nodes";
    assert_eq!(
        (text(&created, "Arn"), text(&created, "DefaultVersionId")),
        (arn, "v1")
    );
    assert_eq!(
        refused(&emulator, &create("Large", 6145)),
        (409, "LimitExceeded".to_owned())
    );
    assert_eq!(
        refused(&emulator, &create("boundary", 200)),
        (409, "EntityAlreadyExists".to_owned())
    );
    done(&emulator, &attach(arn));
    let delete = |arn: &str| format!("Action=DeletePolicy&PolicyArn={arn}");
    assert_eq!(
        refused(&emulator, &delete(arn)),
        (409, "DeleteConflict".to_owned())
    );
    assert_eq!(
        refused(&emulator, &delete(BOUNDARY)),
        (409, "DeleteConflict".to_owned())
    );
    assert_eq!(
        refused(&emulator, &delete(NODE)),
        (403, "AccessDenied".to_owned())
    );
    done(
        &emulator,
        &format!("Action=DetachRolePolicy&RoleName=AWSPCS-node&PolicyArn={arn}"),
    );
    done(&emulator, &delete(arn));
    assert_eq!(refused(&emulator, &delete(arn)), (404, "NoSuchEntity".to_owned()));
}

#[test]
fn the_account_is_only_so_large() {
    let emulator = fresh(Options {
        quotas: Quotas {
            roles: 1,
            instance_profiles: 1,
            policies: 0,
            ..Quotas::default()
        },
        ..Options::default()
    });
    let full = |form: &str, quota: &str| {
        let (status, xml) = call(&emulator, form);
        assert_eq!((status, text(&xml, "Code")), (409, "LimitExceeded"));
        assert!(text(&xml, "Message").contains(quota), "{xml}");
    };
    done(&emulator, &create_role("a", ""));
    full(&create_role("b", ""), "RolesPerAccount: 1");
    done(&emulator, "Action=CreateInstanceProfile&InstanceProfileName=a");
    full(
        "Action=CreateInstanceProfile&InstanceProfileName=b",
        "InstanceProfilesPerAccount: 1",
    );
    let document = escaped(&document(200));
    full(
        &format!("Action=CreatePolicy&PolicyName=a&PolicyDocument={document}"),
        "PoliciesPerAccount: 0",
    );
}

#[test]
fn who_deletes_what_he_has_read_reads_everything() {
    let emulator = fresh(Options {
        page_size: 2,
        ..Options::default()
    });
    for n in 0..7 {
        done(
            &emulator,
            &create_role(&format!("AWSPCS-{n}"), "&Path=/aws-pcs/pcs-api/"),
        );
    }
    let (mut seen, mut marker) = (Vec::new(), String::new());
    loop {
        let form = format!("Action=ListRoles&PathPrefix=/aws-pcs/pcs-api/&Marker={marker}");
        let page = done(&emulator, &form);
        for role in page.split("<RoleName>").skip(1) {
            let name = role.split_once('<').unwrap().0.to_owned();
            done(&emulator, &format!("Action=DeleteRole&RoleName={name}"));
            seen.push(name);
        }
        if text(&page, "IsTruncated") == "false" {
            break;
        }
        text(&page, "Marker").clone_into(&mut marker);
        assert!(marker.len() <= 320, "the model's limit for markers");
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
}

#[test]
fn pcs_sees_a_new_profile_and_a_new_role_in_it_later_than_iam_does() {
    let emulator = fresh(Options {
        propagation: Duration::from_mins(1),
        ..Options::default()
    });
    let arn = "arn:aws:iam::123456789012:instance-profile/AWSPCS-p";
    let read = "Action=GetInstanceProfile&InstanceProfileName=AWSPCS-p";
    done(&emulator, &create_role("AWSPCS-r", ""));
    done(
        &emulator,
        "Action=CreateInstanceProfile&InstanceProfileName=AWSPCS-p",
    );
    done(&emulator, read);
    assert!(!emulator.instance_profile_exists(arn));
    emulator.advance(Duration::from_mins(1));
    assert!(emulator.instance_profile_exists(arn));
    done(
        &emulator,
        "Action=AddRoleToInstanceProfile&InstanceProfileName=AWSPCS-p&RoleName=AWSPCS-r",
    );
    assert_eq!(text(&done(&emulator, read), "RoleName"), "AWSPCS-r");
    assert!(!emulator.instance_profile_exists(arn));
    emulator.advance(Duration::from_secs(59));
    assert!(!emulator.instance_profile_exists(arn));
    emulator.advance(Duration::from_secs(1));
    assert!(emulator.instance_profile_exists(arn));
    let tag =
        "Action=TagInstanceProfile&InstanceProfileName=AWSPCS-p&Tags.member.1.Key=k&Tags.member.1.Value=v";
    done(&emulator, tag);
    assert!(emulator.instance_profile_exists(arn), "PCS does not look at tags");
}
