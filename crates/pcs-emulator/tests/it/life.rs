//! `tests/life.json` as the emulator hears it: the calls that every client's life must consist of. The same
//! file is what boto3 and the AWS CLI live by (`tests/contract/test_emulator_life.py`).

use std::collections::BTreeMap;

use pcs_emulator::ReceivedCall;
use serde_json::{Value, json};

/// A call, told apart by everything but ids, ARNs and tokens.
type Told = (String, Value, bool);

/// Fails unless the calls are those of the life, in its order and with its parameters and outcomes.
pub fn compare(calls: &[ReceivedCall]) {
    let expected = expected();
    let names = ids_of(calls);
    let heard: Vec<Told> = calls.iter().map(|call| told(call, &names)).collect();
    for (i, (heard, expected)) in heard.iter().zip(&expected).enumerate() {
        assert_eq!(heard, expected, "call {i}");
    }
    assert_eq!(heard.len(), expected.len());
}

fn expected() -> Vec<Told> {
    let life: Vec<Value> = serde_json::from_str(include_str!("../life.json")).unwrap();
    let mut all = Vec::new();
    for step in &life {
        if let Some(action) = step["action"].as_str() {
            all.push((
                action.to_owned(),
                step["body"].clone(),
                step.get("error").is_none(),
            ));
        }
        if let Some(action) = step["paginate"].as_str() {
            let size = step["pageSize"].as_u64().unwrap();
            let found = step["finds"].as_array().unwrap().len() as u64;
            for page in 0..found.div_ceil(size).max(1) {
                let mut body = step["body"].clone();
                body["maxResults"] = json!(size);
                if page > 0 {
                    body["nextToken"] = json!("<token>");
                }
                all.push((action.to_owned(), body, true));
            }
        }
    }
    all
}

/// The ids that PCS gave out, in the order in which the calls first name them: cluster, group, queue.
fn ids_of(calls: &[ReceivedCall]) -> BTreeMap<String, &'static str> {
    let members = [
        ("clusterIdentifier", "<cluster>"),
        ("computeNodeGroupIdentifier", "<group>"),
        ("queueIdentifier", "<queue>"),
        ("resourceArn", "<clusterArn>"),
    ];
    let mut names = BTreeMap::new();
    for call in calls {
        for (member, name) in members {
            let id = call.body[member].as_str().unwrap_or_default();
            if (id.starts_with("pcs_") && id != "pcs_donotexist") || id.starts_with("arn:aws:pcs:") {
                names.insert(id.to_owned(), name);
            }
        }
    }
    assert_eq!(
        names.len(),
        4,
        "one cluster, its ARN, one group and one queue: {names:?}"
    );
    names
}

fn told(call: &ReceivedCall, names: &BTreeMap<String, &'static str>) -> Told {
    let mut body = call.body.clone();
    let members = body.as_object_mut().unwrap();
    let token = members.remove("clientToken");
    let changes = ["Create", "Update", "Delete"];
    let has_token = changes.iter().any(|verb| call.action.starts_with(verb));
    assert_eq!(
        token.is_some(),
        has_token,
        "{}: the SDK fills client tokens",
        call.action
    );
    if members.contains_key("nextToken") {
        members.insert("nextToken".to_owned(), json!("<token>"));
    }
    let text = names.iter().fold(body.to_string(), |text, (id, name)| {
        text.replace(&format!("\"{id}\""), &format!("\"{name}\""))
    });
    let succeeded = call.status.is_some_and(|status| status.is_success());
    (
        call.action.clone(),
        serde_json::from_str(&text).unwrap(),
        succeeded,
    )
}
