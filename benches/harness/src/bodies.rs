//! Bodies of the greatest size that is read, of the worst kinds beside the best: what a caller can make one refused call
//! cost. The whole way of it is measured: reading, checking, redacting, recording, answering.

use serde_json::{Value, json};

use crate::{
    Options, Outcome,
    measure::{self, Contestant},
    programs::Paths,
    report::{Budget, Limit, Report, figure},
    world::{World, bytes},
};

/// A little less than the limit of 1 MiB, so that what stands around the filling fits.
const FILLING: usize = 1_000_000;
/// A call of this kind takes milliseconds, a hundred times as long as the others that are measured.
const CALLS: u32 = 60;
/// How many times what the best body costs the worst may cost.
pub const WORST_TO_BEST: f64 = 10.0;

/// One kind of body, and the status of its refusal.
struct Kind {
    name: &'static str,
    event: &'static str,
    status: i64,
    body: String,
}

/// The function with each kind of body, by the kind's name; the best first.
pub fn contestants(paths: &Paths, world: &World) -> Outcome<Vec<(&'static str, Contestant)>> {
    let mut contestants = Vec::new();
    for kind in kinds() {
        let mut event = world.event(kind.event)?;
        *event.get_mut("body").ok_or("an event without a body")? = Value::from(kind.body);
        let contestant = Contestant {
            // Also scripts in S3 are refused then, which is the last thing that is looked at.
            program: paths
                .gateway(&world.plain)
                .with("PCS_API_LIFECYCLE_SCRIPTS", "CHECKSUM"),
            event: bytes(&event),
            status: kind.status,
        };
        contestants.push((kind.name, contestant));
    }
    Ok(contestants)
}

pub async fn run(paths: &Paths, options: &Options, world: &World, report: &mut Report) -> Outcome<()> {
    let (names, contestants): (Vec<_>, Vec<_>) = contestants(paths, world)?.into_iter().unzip();
    let measured = measure::warm(&contestants, options.calls.min(CALLS)).await?;
    let best = measured.first().ok_or("no body")?;
    let mut rows = Vec::new();
    let mut worst: f64 = 1.0;
    for ((name, contestant), warm) in names.iter().zip(&contestants).zip(&measured) {
        let ratio = warm.round.ratio(&best.round);
        worst = worst.max(ratio);
        rows.push(vec![
            (*name).to_owned(),
            contestant.status.to_string(),
            figure(warm.took.median()),
            figure(warm.cpu),
            figure(warm.peak_kib / 1024.0),
            figure(ratio),
        ]);
    }
    report.heading("Bodies of 1 MB, the worst kinds beside the best (the first)");
    let head = ["body", "status", "p50 us", "CPU us", "peak MiB", "x the best"];
    report.table("bodies", &head, &rows);
    report.budgets.push(Budget::new(
        "1 MB of the worst kind, x 1 MB of the best",
        worst,
        Limit::AtMost(WORST_TO_BEST),
    ));
    Ok(())
}

fn kinds() -> Vec<Kind> {
    let refused = |name, body| Kind {
        name,
        event: "create-cluster",
        status: 400,
        body,
    };
    let repeated = |unit: &str| unit.repeat(FILLING / unit.len());
    let list = |unit: &str| format!("{{\"a\":[{}0]}}", repeated(unit));
    let up_to = |count: usize, unit: &dyn Fn(usize) -> String| -> String {
        let units: Vec<String> = (0..count).map(unit).collect();
        format!("{{{}}}", units.join(","))
    };
    // As many values as may be in one body, each as long as fits.
    let padding = "p".repeat(30);
    vec![
        refused("one text", format!("{{\"a\":\"{}\"}}", repeated("a"))),
        refused("nothing but [", repeated("[")),
        refused("objects in objects", repeated("{\"a\":")),
        refused("a number of digits", format!("{{\"a\":{}}}", repeated("9"))),
        refused("a fraction of digits", format!("{{\"a\":0.{}1}}", repeated("0"))),
        refused("escapes", format!("{{\"a\":\"{}\"}}", repeated("\\u00e9"))),
        refused(
            "pairs of surrogates",
            format!("{{\"a\":\"{}\"}}", repeated("\\ud83d\\ude00")),
        ),
        refused(
            "half surrogates",
            format!("{{\"a\":\"{}\"}}", repeated("\\ud83d")),
        ),
        refused("empty lists, too many", list("[],")),
        refused(
            "one key of half the body",
            format!(
                "{{\"{}\":[{}0]}}",
                "k".repeat(FILLING / 2),
                "0,".repeat(FILLING / 4)
            ),
        ),
        refused(
            "unknown members",
            up_to(19_000, &|n| format!("\"clusterNam{n}{padding}\":1")),
        ),
        refused(
            "members with the longest keys",
            up_to(970, &|n| format!("\"{n:01000}\":[0,0,0,0,0,0,0,0]")),
        ),
        refused(
            "one member again and again",
            up_to(19_000, &|n| format!("\"size\":\"{n}{padding}\"")),
        ),
        refused(
            "wrong items",
            format!(
                "{{\"networking\":{{\"subnetIds\":[{}1]}}}}",
                "\"subnet-x\",".repeat(19_000)
            ),
        ),
        refused(
            "tags",
            format!(
                "{{\"tags\":{}}}",
                up_to(19_000, &|n| format!("\"{n}{padding}\":\"v\""))
            ),
        ),
        policies(),
        refused(
            "good items",
            format!(
                "{{\"networking\":{{\"securityGroupIds\":[{}1]}}}}",
                "\"sg-0123456789abcdef0\",".repeat(19_000)
            ),
        ),
        Kind {
            event: "create-compute-node-group",
            ..refused("every script, as long as may be", locations())
        },
        group("long policy ARNs", 9, &"a/".repeat(50_000)),
        group("instance profile", 1, &"b".repeat(FILLING / 2)),
        denied(),
        denied_with_items(),
    ]
}

/// Every script that one body can have, each with as many characters as a location has.
fn locations() -> String {
    let location = format!("https://{}com", format!("{}.", "a".repeat(62)).repeat(16));
    let script = json!({"name": "a", "scriptSource": {"scriptLocation": location}, "arguments": vec!["a".repeat(256); 20]});
    let scripts = vec![script; 20];
    let body =
        json!({"nodeLifecycleActions": {"stages": {"nodeBootstrapped": scripts, "nodeReady": scripts}}});
    body.to_string()
}

/// Items behind the limit of their list, which all would fit the longest of patterns.
fn policies() -> Kind {
    group("many policy ARNs", 19_000, "a/a")
}

fn group(name: &'static str, count: usize, policy: &str) -> Kind {
    let arn = format!("arn:aws:iam::123456789012:policy/{policy}");
    let arns = vec![arn; count];
    let profile = format!("arn:aws:iam::123456789012:instance-profile/{policy}/b");
    Kind {
        name,
        event: "create-compute-node-group",
        status: 400,
        body: json!({"iam": {"additionalIamPolicies": arns}, "iamInstanceProfileArn": profile}).to_string(),
    }
}

/// One that fits the contract, is redacted and recorded, and refused by a guardrail.
fn denied() -> Kind {
    let setting = json!({"parameterName": "Prolog", "parameterValue": "v".repeat(120)});
    cluster("a valid one, denied", 1, &vec![setting; 5_500])
}

/// As many items as a body can have, each held against a pattern and recorded, and all the rest of it escapes.
fn denied_with_items() -> Kind {
    let setting = json!({"parameterName": "Prolog", "parameterValue": "\n".repeat(240_000)});
    cluster("valid items and escapes, denied", 19_900, &[setting])
}

fn cluster(name: &'static str, subnets: usize, settings: &[Value]) -> Kind {
    let body = json!({
        "clusterName": "demo-cluster",
        "scheduler": {"type": "SLURM", "version": "25.11"},
        "size": "SMALL",
        "networking": {"subnetIds": vec!["subnet-0123456789abcdef0"; subnets]},
        "slurmConfiguration": {
            "slurmCustomSettings": settings,
            "jobSubmitPlugins": [{
                "name": "a", "type": "STARLARK", "scriptSource": {"scriptLocation": "s3://bucket/key"},
            }],
        },
    });
    Kind {
        name,
        event: "create-cluster",
        status: 403,
        body: body.to_string(),
    }
}
