//! Each fault alone, and all of a file at once.

use serde_json::{Value, json};

use super::*;

fn good() -> Value {
    json!({
        "accessKeyId": "ASIAEXAMPLEEXAMPLE00", "secretAccessKey": "hush", "sessionToken": "quiet",
        "identity": {
            "kind": "assumedRole", "accountId": "111122223333", "principalId": "AROAEXAMPLEEXAMPLE000",
            "sessionName": "ci", "arn": "arn:aws:sts::111122223333:assumed-role/Pipeline/ci",
            "principalOrgId": "o-exampleorgid",
        },
    })
}

fn read_json(json: &str) -> Result<usize, String> {
    read(json.as_bytes(), &Credentials::built_in("123456789012")).map(|credentials| credentials.len())
}

#[test]
fn each_fault_is_told_with_its_entry_and_what_passes() {
    assert_eq!(read_json(&json!([good()]).to_string()), Ok(1));
    for (pointer, value, expected) in [
        ("/accessKeyId", json!(""), "accessKeyId must be 1 to 128"),
        ("/accessKeyId", json!("A/B"), "accessKeyId must be 1 to 128"),
        (
            "/accessKeyId",
            json!("AKIAIOSFODNN7EXAMPLE"),
            "that of a built-in key",
        ),
        ("/secretAccessKey", json!(""), "secretAccessKey must be"),
        ("/secretAccessKey", json!("a b"), "secretAccessKey must be"),
        ("/sessionToken", json!(""), "sessionToken must be"),
        (
            "/identity/accountId",
            json!("1111"),
            "accountId must be 12 digits",
        ),
        (
            "/identity/accountId",
            json!("999999999999"),
            "must have arn `arn:aws:sts::999999999999:",
        ),
        ("/identity/arn", json!(""), "must have arn"),
        (
            "/identity/arn",
            json!("arn:aws:iam::111122223333:role/Pipeline"),
            "must have arn",
        ),
        (
            "/identity/arn",
            json!("arn:aws:sts::999999999999:assumed-role/Pipeline/ci"),
            "must have arn",
        ),
        (
            "/identity/arn",
            json!("arn:aws:sts::111122223333:assumed-role/Pipeline/cd"),
            "must have arn",
        ),
        (
            "/identity/principalId",
            json!("AIDAEXAMPLEEXAMPLE000"),
            "principalId `AROA...`",
        ),
        (
            "/identity/principalOrgId",
            json!("exampleorg"),
            "principalOrgId must be",
        ),
        ("/identity/sessionName", json!(null), "sessionName `SESSION`"),
        ("/identity/kind", json!("user"), "identity of kind user must have"),
        ("/identity/kind", json!("root"), "identity of kind root must have"),
        (
            "/identity/kind",
            json!("federatedUser"),
            "identity of kind federatedUser must have",
        ),
        ("/identity/kind", json!("somebody"), "unknown variant `somebody`"),
    ] {
        let mut entry = good();
        *entry.pointer_mut(pointer).unwrap() = value;
        let told = read_json(&json!([good(), entry]).to_string()).unwrap_err();
        assert!(
            told.starts_with("entry 2") && told.contains(expected),
            "{pointer}: {told}"
        );
    }
}

#[test]
fn every_kind_that_belongs_together_is_taken() {
    for (kind, id, arn) in [
        (
            "user",
            "AIDAEXAMPLEEXAMPLE000",
            "arn:aws:iam::111122223333:user/team/ada",
        ),
        ("root", "111122223333", "arn:aws:iam::111122223333:root"),
        (
            "federatedUser",
            "111122223333:bo",
            "arn:aws:sts::111122223333:federated-user/bo",
        ),
    ] {
        let mut entry = good();
        let identity = &mut entry["identity"];
        identity["kind"] = json!(kind);
        identity["principalId"] = json!(id);
        identity["arn"] = json!(arn);
        let told = read_json(&json!([entry]).to_string()).unwrap_err();
        assert!(told.contains("no sessionName"), "{told}");
        entry["identity"].as_object_mut().unwrap().remove("sessionName");
        assert_eq!(read_json(&json!([entry]).to_string()), Ok(1), "{kind}");
    }
}

#[test]
fn all_faults_of_a_file_are_told_at_once() {
    let mut bad = good();
    bad["accessKeyId"] = json!("");
    bad["secretAccessKey"] = json!("");
    let twice = good()
        .to_string()
        .replacen('{', r#"{"secretAccessKey": "other", "#, 1);
    let told = read_json(&format!("[{}, {bad}, {}, {twice}, 7]", good(), good())).unwrap_err();
    for part in [
        "entry 2 (``): accessKeyId must",
        "entry 2 (``): secretAccessKey must",
        "entry 3 (`ASIAEXAMPLEEXAMPLE00`): accessKeyId stands in an entry before",
        "entry 4: duplicate field `secretAccessKey`",
        "entry 5: invalid type",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains(" line "), "{told}");
    for text in ["{}", "", "[", "nonsense", "[]]"] {
        let told = read_json(text).unwrap_err();
        assert!(told.starts_with("it is no JSON array of access keys: "), "{told}");
    }
}
