//! The emulator without a socket: requests in, XML out.

use super::*;
use crate::seed::{InstanceProfile, Policy, Role};

mod control;
mod faults;
mod random;
mod writes;

const BOUNDARY: &str = "arn:aws:iam::123456789012:policy/team/Boundary";
const NODE: &str = "arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy";

fn emulator(page_size: usize) -> Emulator {
    let emulator = Emulator::new(Options {
        page_size,
        ..Options::default()
    })
    .unwrap();
    let role = Role::new("AWSPCS-node")
        .path("/aws-pcs/")
        .boundary(Some(BOUNDARY))
        .attach(NODE)
        .attach("arn:aws:iam::aws:policy/service-role/Other")
        .attach("arn:aws:iam::123456789012:policy/parallelcluster/Third")
        .inline("register", serde_json::json!({"Version": "2012-10-17"}))
        .tag("a&b", "<c>");
    let seed = Seed::new()
        .policy(Policy::new(BOUNDARY, "{}").version("v2", r#"{"Version":"2012-10-17"}"#))
        .role(role)
        .instance_profile(
            InstanceProfile::new("AWSPCS-node")
                .path("/aws-pcs/")
                .role("AWSPCS-node"),
        );
    emulator.seed(seed).unwrap();
    emulator
}

fn call(emulator: &Emulator, form: &str) -> (u16, String) {
    answer(emulator, form).expect("dropped")
}

/// Status and body; `None` when the connection was dropped.
fn answer(emulator: &Emulator, form: &str) -> Option<(u16, String)> {
    let request = Request::post("/")
        .header(AUTHORIZATION, "AWS4-HMAC-SHA256 Credential=...")
        .body(Bytes::from(format!("{form}&Version=2010-05-08")))
        .unwrap();
    match emulator.handle(request) {
        Reply::Response(response) | Reply::Delay(_, response) => Some((
            response.status().as_u16(),
            String::from_utf8(response.body().to_vec()).unwrap(),
        )),
        Reply::Drop => None,
    }
}

/// A call that the emulator must do.
fn done(emulator: &Emulator, form: &str) -> String {
    let (status, xml) = call(emulator, form);
    assert_eq!(status, 200, "{form}: {xml}");
    xml
}

/// Status and error code of a call that the emulator must refuse.
fn refused(emulator: &Emulator, form: &str) -> (u16, String) {
    let (status, xml) = call(emulator, form);
    assert_ne!(status, 200, "{form}: {xml}");
    (status, text(&xml, "Code").to_owned())
}

/// `value` as it stands in a form.
fn escaped(value: &str) -> String {
    form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

fn fresh(options: Options) -> Emulator {
    Emulator::new(options).unwrap()
}

/// A folder of its own for a test.
fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("iam-emulator-{}", uuid::Uuid::new_v4()))
}

/// The text of the first `name` element in `xml`.
fn text<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml
        .split_once(&format!("<{name}>"))
        .unwrap_or_else(|| panic!("no {name} in {xml}"));
    rest.split_once(&format!("</{name}>")).unwrap().0
}

#[test]
fn only_get_role_tells_the_boundary() {
    let emulator = emulator(100);
    let (status, profile) = call(
        &emulator,
        "Action=GetInstanceProfile&InstanceProfileName=AWSPCS-node",
    );
    assert_eq!(status, 200);
    let profile_arn = "arn:aws:iam::123456789012:instance-profile/aws-pcs/AWSPCS-node";
    assert!(profile.contains(&format!("<Arn>{profile_arn}</Arn>")));
    assert!(emulator.instance_profile_exists(profile_arn));
    assert!(!emulator.instance_profile_exists(&profile_arn.to_lowercase()));
    assert!(!text(&profile, "Roles").contains("Boundary"), "{profile}");
    let (_, role) = call(&emulator, "Action=GetRole&RoleName=awspcs-NODE");
    assert_eq!(text(&role, "PermissionsBoundaryArn"), BOUNDARY);
    assert_eq!(text(&role, "RoleId"), text(&profile, "RoleId"));
    assert_eq!(text(&role, "Key"), "a&amp;b");
}

#[test]
fn a_page_ends_where_the_emulator_says_and_its_marker_goes_on() {
    let emulator = emulator(2);
    let list = "Action=ListAttachedRolePolicies&RoleName=AWSPCS-node";
    let (_, first) = call(&emulator, list);
    assert_eq!(text(&first, "IsTruncated"), "true");
    assert_eq!(first.matches("<PolicyArn>").count(), 2);
    let marker = text(&first, "Marker").to_owned();
    let (_, second) = call(&emulator, &format!("{list}&Marker={marker}"));
    assert_eq!(text(&second, "IsTruncated"), "false");
    assert_eq!(text(&second, "PolicyName"), "Third");
    assert!(!second.contains("<Marker>"));
    let (status, other) = call(
        &emulator,
        &format!("Action=ListRolePolicies&RoleName=AWSPCS-node&Marker={marker}"),
    );
    assert_eq!(
        (status, text(&other, "Code")),
        (400, "ValidationError"),
        "a marker belongs to one list"
    );
    let (_, under) = call(&emulator, &format!("{list}&PathPrefix=/service-role/"));
    assert_eq!(under.matches("<PolicyArn>").count(), 1);
}

#[test]
fn documents_are_percent_encoded() {
    let emulator = emulator(100);
    let (_, inline) = call(
        &emulator,
        "Action=GetRolePolicy&RoleName=AWSPCS-node&PolicyName=REGISTER",
    );
    assert_eq!(
        text(&inline, "PolicyDocument"),
        "%7B%22Version%22%3A%222012-10-17%22%7D"
    );
    let (_, policy) = call(&emulator, &format!("Action=GetPolicy&PolicyArn={BOUNDARY}"));
    assert_eq!(text(&policy, "DefaultVersionId"), "v2");
    assert_eq!(text(&policy, "PermissionsBoundaryUsageCount"), "1");
    let version = |id| {
        call(
            &emulator,
            &format!("Action=GetPolicyVersion&PolicyArn={BOUNDARY}&VersionId={id}"),
        )
    };
    assert_eq!(
        text(&version("v2").1, "Document"),
        "%7B%22Version%22%3A%222012-10-17%22%7D"
    );
    assert_eq!(text(&version("v1").1, "IsDefaultVersion"), "false");
    assert_eq!(version("v3").0, 404);
}

/// Whoever attaches one of AWS's policies may ask for it first.
#[test]
fn every_policy_of_awss_is_found_by_its_name() {
    let emulator = emulator(100);
    for (name, is_attachable) in [
        ("ReadOnlyAccess", "true"),
        ("AmazonS3ReadOnlyAccess", "true"),
        ("service-role/AWSLambdaBasicExecutionRole", "true"),
        ("aws-service-role/AWSSupportServiceRolePolicy", "false"),
    ] {
        let get = || {
            let arn = format!("arn:aws:iam::aws:policy/{name}");
            call(&emulator, &format!("Action=GetPolicy&PolicyArn={arn}"))
        };
        let (status, policy) = get();
        assert_eq!(status, 200, "{name}: {policy}");
        assert_eq!(text(&policy, "IsAttachable"), is_attachable, "{name}");
        assert_eq!(text(&policy, "PolicyId"), text(&get().1, "PolicyId"));
    }
}

#[test]
fn errors_are_iam_s() {
    let emulator = emulator(100);
    for (form, status, code) in [
        ("Action=GetRole&RoleName=AWSPCS-gone", 404, "NoSuchEntity"),
        (
            "Action=GetInstanceProfile&InstanceProfileName=gone",
            404,
            "NoSuchEntity",
        ),
        (
            "Action=GetRolePolicy&RoleName=AWSPCS-node&PolicyName=gone",
            404,
            "NoSuchEntity",
        ),
        (
            "Action=GetPolicy&PolicyArn=arn:aws:iam::aws:policy/Gone",
            404,
            "NoSuchEntity",
        ),
        ("Action=GetRole", 400, "ValidationError"),
        ("Action=GetRole&RoleName=a/b", 400, "ValidationError"),
        (
            "Action=GetPolicy&PolicyArn=arn:aws:iam::aws:role/NotAPolicy",
            400,
            "InvalidInput",
        ),
        (
            "Action=GetPolicy&PolicyArn=arn:aws-cn:iam::aws:policy/ReadOnlyAccess",
            400,
            "ValidationError",
        ),
        (
            "Action=GetPolicyVersion&VersionId=v1&PolicyArn=arn:aws:iam::aws:policy/ReadOnlyAccess",
            501,
            "NotEmulated",
        ),
        (
            "Action=ListRolePolicies&RoleName=AWSPCS-node&MaxItems=0",
            400,
            "ValidationError",
        ),
        (
            "Action=ListRolePolicies&RoleName=AWSPCS-node&Marker=%21",
            400,
            "ValidationError",
        ),
        ("Action=ListUsers", 400, "InvalidAction"),
        ("RoleName=AWSPCS-node", 400, "MissingAction"),
    ] {
        let (got, xml) = call(&emulator, form);
        assert_eq!((got, text(&xml, "Code")), (status, code), "{form}");
    }
    let unsigned = Request::post("/")
        .body(Bytes::from_static(b"Action=GetRole"))
        .unwrap();
    let Reply::Response(response) = emulator.handle(unsigned) else {
        panic!("no answer")
    };
    assert_eq!(response.status(), 403);
}

#[test]
fn a_bad_seed_changes_nothing() {
    let emulator = emulator(100);
    let seed = Seed::new()
        .role(Role::new("AWSPCS-new"))
        .instance_profile(InstanceProfile::new("AWSPCS-new").role("AWSPCS-gone"));
    assert!(matches!(emulator.seed(seed), Err(SeedError::UnknownRole { .. })));
    assert_eq!(call(&emulator, "Action=GetRole&RoleName=AWSPCS-new").0, 404);
}

#[test]
fn refuses_to_start_on_nonsense() {
    let options = Options {
        account_id: "12345".to_owned(),
        ..Options::default()
    };
    assert!(matches!(
        Emulator::new(options),
        Err(StartError::InvalidAccountId(_))
    ));
}

#[test]
fn a_saved_account_comes_back_and_only_for_its_owner() {
    let dir = std::env::temp_dir().join(format!("iam-emulator-{}", uuid::Uuid::new_v4()));
    let options = Options {
        data_dir: Some(dir.clone()),
        ..Options::default()
    };
    Emulator::new(options.clone())
        .unwrap()
        .seed(Seed::new().role(Role::new("AWSPCS-a")))
        .unwrap();
    let again = Emulator::new(options.clone()).unwrap();
    assert_eq!(call(&again, "Action=GetRole&RoleName=AWSPCS-a").0, 200);
    let Err(StartError::Data(shared)) = Emulator::new(options.clone()) else {
        panic!("two emulators in one folder lose each other's writes");
    };
    assert!(shared.message.starts_with("is in use"), "{shared}");
    drop(again);
    let other = Options {
        account_id: "210987654321".to_owned(),
        ..options
    };
    assert!(matches!(Emulator::new(other), Err(StartError::Data(_))));
    std::fs::remove_dir_all(&dir).unwrap();
}

/// What a folder begins with is put into it once.
#[test]
fn a_seeded_role_stays_what_it_was_made_over_restarts() {
    let dir = folder();
    let options = Options {
        data_dir: Some(dir.clone()),
        ..Options::default()
    };
    let seed = || {
        let profile = InstanceProfile::new("AWSPCS-a").role("AWSPCS-a");
        Seed::new()
            .role(Role::new("AWSPCS-a"))
            .role(Role::new("AWSPCS-b"))
            .instance_profile(profile)
    };
    let start = || Emulator::new(options.clone()).unwrap();
    let policy = "arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FAmazonS3ReadOnlyAccess";
    let attach = format!("Action=AttachRolePolicy&RoleName=AWSPCS-a&PolicyArn={policy}");
    let attached = "Action=ListAttachedRolePolicies&RoleName=AWSPCS-a";

    let emulator = start();
    assert!(emulator.seed_once(seed()).unwrap());
    done(&emulator, &attach);
    done(&emulator, "Action=DeleteRole&RoleName=AWSPCS-b");
    let role = done(&emulator, "Action=GetRole&RoleName=AWSPCS-a");
    let role = text(&role, "RoleId").to_owned();
    drop(emulator);
    let emulator = start();
    assert!(!emulator.seed_once(seed()).unwrap());
    assert!(done(&emulator, attached).contains("AmazonS3ReadOnlyAccess"));
    assert!(
        done(&emulator, "Action=GetRole&RoleName=AWSPCS-a").contains(&role),
        "the same role, by id"
    );
    assert_eq!(refused(&emulator, "Action=GetRole&RoleName=AWSPCS-b").0, 404);
    emulator.reset().unwrap();
    drop(emulator);
    let emulator = start();
    assert!(!emulator.seed_once(seed()).unwrap(), "emptied is not new");
    drop(emulator);

    // A file that does not say so is of a program that seeded at every start.
    let file = dir.join("iam.json");
    let saved = std::fs::read_to_string(&file).unwrap();
    assert!(saved.contains("\"seeded\": true,"), "{saved}");
    std::fs::write(&file, saved.replace("\"seeded\": true,", "")).unwrap();
    assert!(!start().seed_once(seed()).unwrap());

    // One that was used without a seed is still to be seeded.
    std::fs::remove_file(&file).unwrap();
    let emulator = start();
    done(
        &emulator,
        "Action=CreateRole&RoleName=AWSPCS-c&AssumeRolePolicyDocument=%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%22ec2.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%7D",
    );
    drop(emulator);
    let emulator = start();
    assert!(emulator.seed_once(seed()).unwrap());
    done(&emulator, "Action=GetRole&RoleName=AWSPCS-b");
    done(&emulator, "Action=GetRole&RoleName=AWSPCS-c");
    std::fs::remove_dir_all(&dir).unwrap();
}
