//! Faults, the call log and what is on disk after them.

use super::*;

#[test]
fn faults_hit_and_calls_are_logged() {
    let emulator = emulator(100);
    let fault = |effect| {
        emulator.inject(Fault {
            action: Some("GetRole".into()),
            times: 1,
            effect,
        });
    };
    let get_role = || call(&emulator, "Action=GetRole&RoleName=AWSPCS-node");
    fault(Effect::Throttle);
    let (status, xml) = get_role();
    assert_eq!((status, text(&xml, "Code")), (400, "Throttling"));
    fault(Effect::Error {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: "ServiceFailure".into(),
        message: "broken".into(),
    });
    let (status, xml) = get_role();
    assert_eq!(
        (status, text(&xml, "Code"), text(&xml, "Type")),
        (500, "ServiceFailure", "Receiver")
    );
    fault(Effect::Garbage(Bytes::from_static(b"<GetRole")));
    assert_eq!(get_role(), (200, "<GetRole".to_owned()));
    assert_eq!(get_role().0, 200);
    let calls = emulator.calls();
    assert_eq!(calls.len(), 4);
    assert_eq!(calls[0].action, "GetRole");
    assert_eq!(
        calls[0].params,
        BTreeMap::from([("RoleName".to_owned(), "AWSPCS-node".to_owned())])
    );
    let statuses: Vec<_> = calls
        .iter()
        .map(|call| call.status.map(|status| status.as_u16()))
        .collect();
    assert_eq!(statuses, [Some(400), Some(500), Some(200), Some(200)]);
    emulator.clear_calls();
    assert!(emulator.calls().is_empty());
}

#[test]
fn a_dropped_answer_is_of_a_call_that_was_done_or_not() {
    let emulator = emulator(100);
    let drop = |effect| {
        emulator.inject(Fault {
            action: Some("CreateInstanceProfile".into()),
            times: 1,
            effect,
        });
        let create = "Action=CreateInstanceProfile&InstanceProfileName=AWSPCS-new";
        assert_eq!(answer(&emulator, create), None);
        let (status, _) = call(
            &emulator,
            "Action=GetInstanceProfile&InstanceProfileName=AWSPCS-new",
        );
        status
    };
    assert_eq!(drop(Effect::DropBefore), 404);
    assert_eq!(drop(Effect::DropAfter), 200);
    let log: Vec<_> = emulator
        .calls()
        .iter()
        .map(|call| (call.is_write(), call.status.map(|status| status.as_u16())))
        .collect();
    assert_eq!(
        log,
        [(true, None), (false, Some(404)), (true, None), (false, Some(200))]
    );
    drop_is_forgotten(&emulator);
}

fn drop_is_forgotten(emulator: &Emulator) {
    emulator.inject(Fault {
        action: None,
        times: 5,
        effect: Effect::DropBefore,
    });
    emulator.clear_faults();
    done(emulator, "Action=GetRole&RoleName=AWSPCS-node");
}

#[test]
fn a_delayed_write_is_done_at_once() {
    let emulator = emulator(100);
    emulator.inject(Fault {
        action: Some("DeleteRolePolicy".into()),
        times: 1,
        effect: Effect::Delay(Duration::from_mins(10)),
    });
    done(
        &emulator,
        "Action=DeleteRolePolicy&RoleName=AWSPCS-node&PolicyName=register",
    );
    let listed = done(&emulator, "Action=ListRolePolicies&RoleName=AWSPCS-node");
    assert!(!listed.contains("register"), "{listed}");
}

#[test]
fn what_is_not_emulated_counts_as_a_write_unless_its_name_says_otherwise() {
    let emulator = emulator(100);
    for (action, write) in [
        ("UpdateAssumeRolePolicy", true),
        ("ListUsers", false),
        ("SimulatePrincipalPolicy", false),
        ("GetUser", false),
        ("DeleteRole", true),
    ] {
        call(&emulator, &format!("Action={action}"));
        let calls = emulator.calls();
        assert_eq!(calls.last().unwrap().is_write(), write, "{action}");
    }
}

#[test]
fn every_write_is_on_disk_before_its_answer() {
    let dir = folder();
    let options = Options {
        data_dir: Some(dir.clone()),
        ..Options::default()
    };
    let emulator = fresh(options.clone());
    done(
        &emulator,
        "Action=CreateInstanceProfile&InstanceProfileName=AWSPCS-a",
    );
    emulator.advance(Duration::from_hours(1));
    let read = "Action=GetInstanceProfile&InstanceProfileName=AWSPCS-a";
    let profile = |emulator: &Emulator| text(&done(emulator, read), "InstanceProfile").to_owned();
    let before = profile(&emulator);
    // One emulator uses a folder at a time.
    drop(emulator);
    assert_eq!(profile(&fresh(options.clone())), before);
    let arn = "arn:aws:iam::123456789012:instance-profile/AWSPCS-a";
    let patient = Options {
        propagation: Duration::from_mins(50),
        ..options.clone()
    };
    assert!(
        fresh(patient).instance_profile_exists(arn),
        "the clock was saved too"
    );
    let emulator = fresh(options.clone());
    let delete = "Action=DeleteInstanceProfile&InstanceProfileName=AWSPCS-a";
    // A folder in the place of the file to be written: the disk refuses.
    std::fs::create_dir(dir.join("iam.json.new")).unwrap();
    assert_eq!(refused(&emulator, delete), (500, "ServiceFailure".to_owned()));
    done(&emulator, read);
    std::fs::remove_dir(dir.join("iam.json.new")).unwrap();
    done(&emulator, delete);
    drop(emulator);
    assert_eq!(refused(&fresh(options), read).0, 404);
    std::fs::remove_dir_all(&dir).unwrap();
}
