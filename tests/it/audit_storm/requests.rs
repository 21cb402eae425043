//! What the clients of the storm ask for, each request decided by its number.

use std::sync::Mutex;

use serde_json::{Value, json};

use crate::world::{at, called_by, event, with_body, with_query};

/// Policies that a request may list.
pub const POLICIES: [&str; 3] = [
    "arn:aws:iam::123456789012:policy/parallelcluster-a",
    "arn:aws:iam::123456789012:policy/parallelcluster-b",
    "arn:aws:iam::123456789012:policy/parallelcluster-c",
];
/// Unique ids of roles.
pub const PRINCIPALS: [&str; 5] = [
    "AROADBQP57FF2AEXAMPLE",
    "AROASTORM00000EXAMPLE",
    "AROASTORM00001EXAMPLE",
    "AROASTORM00002EXAMPLE",
    "AROASTORM00003EXAMPLE",
];
const SESSIONS: [&str; 8] = [
    "portal",
    "quote\"d",
    "new\nline\r\nPANIC",
    "tab\tnul\u{0}",
    "ünïcødé-😀-\u{2028}",
    "{\"pk\":{\"S\":\"E#0\"}}",
    "a:b,c=d@e#f",
    "9#COMPLETE",
];

/// `SplitMix64`: the same request for the same number in every run.
pub struct Dice(u64);

impl Dice {
    pub fn of(call: u32) -> Dice {
        Dice(u64::from(call) << 20)
    }

    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let index = self.roll(of.len() as u64);
        &of[usize::try_from(index).unwrap()]
    }
}

/// A request, and what PCS must be sent for it if it is sent anything.
pub struct Sent {
    pub event: Value,
    pub principal: Option<&'static str>,
    pub client_token: Option<String>,
    /// Something in PCS's input that only this call has: the value of a tag, or a tag's key.
    pub mark: Option<String>,
}

/// A mutation that PCS takes a client token for.
struct Mutation {
    event: Value,
    /// In the query, where there is no body.
    has_body: bool,
}

pub fn request(call: u32, dice: &mut Dice, clusters: &Mutex<Vec<String>>) -> Sent {
    let mut sent = match dice.roll(100) {
        0..24 => {
            let mutation = mutation(dice);
            with_token(call, mutation, dice)
        }
        24..34 => tags(call, dice, clusters),
        34..41 => denied(dice),
        41..60 => refused(dice),
        _ => read(dice, clusters),
    };
    if let Some(context) = sent.event.get_mut("requestContext") {
        // The console's test calls once all had the same one.
        let is_shared = dice.roll(100) == 0;
        let id = if is_shared {
            "test-invoke-request".to_owned()
        } else {
            format!("request-{call}")
        };
        context["requestId"] = json!(id);
    }
    sent
}

/// A read that nothing happens to.
pub fn last(call: u32) -> Sent {
    let mut event = event("get-guardrails");
    event["requestContext"]["requestId"] = json!(format!("request-{call}"));
    Sent {
        event,
        principal: None,
        client_token: None,
        mark: None,
    }
}

fn plain(event: Value) -> Sent {
    Sent {
        event,
        principal: None,
        client_token: None,
        mark: None,
    }
}

fn by_somebody(event: Value, dice: &mut Dice) -> Sent {
    let principal = *dice.one(&PRINCIPALS);
    let session = *dice.one(&SESSIONS);
    let event = called_by(event, principal, session);
    Sent {
        principal: Some(principal),
        ..plain(event)
    }
}

fn cluster(dice: &mut Dice) -> String {
    format!("storm-{}", dice.roll(6))
}

fn mutation(dice: &mut Dice) -> Mutation {
    let cluster = cluster(dice);
    let in_cluster = [("clusterIdentifier", cluster.as_str())];
    let group = format!("group-{}", dice.roll(3));
    let queue = format!("queue-{}", dice.roll(3));
    let with = |event: Value, has_body| Mutation { event, has_body };
    match dice.roll(24) {
        0..6 => with(
            with_body(event("create-cluster"), json!({"clusterName": cluster})),
            true,
        ),
        6..11 => with(at(event("delete-cluster"), &in_cluster), false),
        11..14 => with(at(event("update-cluster"), &in_cluster), true),
        14..17 => {
            let named = with_body(
                event("create-compute-node-group"),
                json!({"computeNodeGroupName": group}),
            );
            with(at(named, &in_cluster), true)
        }
        17..20 => {
            let listed: Vec<&str> = POLICIES.into_iter().take(1 + group.len() % 2).collect();
            let changes = json!({
                "computeNodeGroupName": group,
                "iamInstanceProfileArn": null,
                "iam": {"additionalIamPolicies": listed},
            });
            let named = with_body(event("create-compute-node-group"), changes);
            with(at(named, &in_cluster), true)
        }
        20 => {
            let of_group = [in_cluster[0], ("computeNodeGroupIdentifier", group.as_str())];
            with(at(event("delete-compute-node-group"), &of_group), false)
        }
        21 => {
            let of_group = [in_cluster[0], ("computeNodeGroupIdentifier", group.as_str())];
            with(at(event("update-compute-node-group"), &of_group), true)
        }
        22 => {
            let changes = json!({"queueName": queue, "computeNodeGroupConfigurations": []});
            with(at(with_body(event("create-queue"), changes), &in_cluster), true)
        }
        _ => {
            let of_queue = [in_cluster[0], ("queueIdentifier", queue.as_str())];
            with(at(event("delete-queue"), &of_queue), false)
        }
    }
}

/// Most callers have a token of their own, some none, some use one again.
fn with_token(call: u32, mutation: Mutation, dice: &mut Dice) -> Sent {
    let token = match dice.roll(10) {
        0..6 => Some(format!("storm-token-{call}")),
        6..8 => Some(format!("used-again-{}", dice.roll(40))),
        _ => None,
    };
    let event = if mutation.has_body {
        with_body(mutation.event, json!({"clientToken": token}))
    } else {
        let query = token.as_deref().map(|token| ("clientToken", token));
        with_query(mutation.event, query.as_slice())
    };
    Sent {
        client_token: token,
        ..by_somebody(event, dice)
    }
}

fn tags(call: u32, dice: &mut Dice, clusters: &Mutex<Vec<String>>) -> Sent {
    let mark = format!("mark-{call}");
    let arn = some_arn(dice, clusters);
    let event = if dice.roll(5) < 3 {
        let tagged = with_body(event("tag-resource"), json!({"tags": {"storm": mark}}));
        with_query(tagged, &[("resourceArn", &arn)])
    } else {
        with_query(
            event("untag-resource"),
            &[("resourceArn", &arn), ("tagKeys", &mark)],
        )
    };
    Sent {
        mark: Some(mark),
        ..by_somebody(event, dice)
    }
}

fn some_arn(dice: &mut Dice, clusters: &Mutex<Vec<String>>) -> String {
    let clusters = clusters.lock().unwrap();
    if clusters.is_empty() {
        return "arn:aws:pcs:us-east-1:123456789012:cluster/pcs_abc1234567".to_owned();
    }
    dice.one(&clusters).clone()
}

/// What a guardrail or a dry run stops, before and after IAM was read.
fn denied(dice: &mut Dice) -> Sent {
    let profile = |name: &str| {
        let arn = format!("arn:aws:iam::123456789012:instance-profile/{name}");
        with_body(
            event("create-compute-node-group"),
            json!({"iamInstanceProfileArn": arn}),
        )
    };
    let event = match dice.roll(7) {
        0 => event("refused-foreign-profile"),
        1 => event("refused-unknown-profile"),
        2 => event("dryrun-create-cluster"),
        3 => profile("AWSPCS-administrator"),
        4 => profile("AWSPCS-inline"),
        5 => profile("AWSPCS-empty"),
        _ => profile("compute-node"),
    };
    by_somebody(event, dice)
}

/// What is wrong with the request itself, or with whom it is from.
fn refused(dice: &mut Dice) -> Sent {
    let name = *dice.one(&[
        "refused-bad-region",
        "refused-invalid-members",
        "refused-duplicate-keys",
        "refused-media-type",
        "refused-unknown-route",
        "refused-wrong-method",
        "refused-method-override",
        "refused-encoded-path",
    ]);
    let nobody = *dice.one(&[
        "refused-foreign-account",
        "refused-foreign-api",
        "refused-no-identity",
        "refused-not-a-rest-event",
        "refused-test-invoke-stage",
    ]);
    if dice.roll(5) == 0 {
        plain(event(nobody))
    } else {
        by_somebody(event(name), dice)
    }
}

fn read(dice: &mut Dice, clusters: &Mutex<Vec<String>>) -> Sent {
    let name = *dice.one(&[
        "list-clusters",
        "get-cluster",
        "list-compute-node-groups",
        "get-compute-node-group",
        "list-queues",
        "get-queue",
        "list-tags-for-resource",
        "get-guardrails",
    ]);
    let mut event = event(name);
    if event["pathParameters"].is_object() {
        let cluster = cluster(dice);
        event = at(event, &[("clusterIdentifier", cluster.as_str())]);
    }
    if name == "list-tags-for-resource" {
        event = with_query(event, &[("resourceArn", &some_arn(dice, clusters))]);
    }
    by_somebody(event, dice)
}
