//! Every case of `guardrail_cases.json` against every rule. What each comes to is a table that people read and
//! review, `output/guardrails-matrix.txt`; `GOLDEN=write cargo test --test it matrix` writes it anew.
//!
//! The table is made by the pure functions. The gateway is then asked the same cases over HTTP and IAM's XML and must
//! come to the same, with nothing changed and the refusal on record. `tests/contract/test_guardrails_moto.py`
//! reads both files and asks it again beside an IAM written elsewhere.

use std::{collections::BTreeMap, fmt::Write, fs, path::PathBuf};

use iam_emulator::{Document, InstanceProfile, Policy, Role, Seed};
use pcs_api::{
    config::Config,
    guardrails::{
        self, Facts,
        allowlist::documented,
        instance_role::{ProfileFacts, RoleFacts},
        policy_document,
    },
    operations::Action,
    router::Call,
};
use serde_json::{Map, Value, json};

use crate::{
    trace::traced,
    world::{World, event, with_body, with_query},
};

const ACCOUNT: &str = "123456789012";
const COLUMNS: [&str; 12] = [
    "own-account",
    "profile-exists",
    "profile-arn",
    "one-role",
    "role-name",
    "trust-policy",
    "permissions-boundary",
    "allowlist",
    "inline-policy",
    "script-source",
    "instance-registration",
    "facts",
];

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it")
        .join(name)
}

/// A case with the members that it leaves out filled in.
struct Case {
    group: String,
    name: String,
    variables: BTreeMap<String, String>,
    role: Role,
    profile: InstanceProfile,
    profile_exists: bool,
    /// ARN; `None` when the request leaves the profile alone.
    requested: Option<String>,
    /// Sources of scripts: lifecycle actions of a group, job submit plugins of a cluster.
    scripts: Value,
    action: Action,
    /// `none` or `another profile`, where the facts are not those that the request needs.
    facts: Option<String>,
    /// Where it cannot be run.
    not_in: Vec<String>,
}

fn cases() -> Vec<Case> {
    let file: Value =
        serde_json::from_str(&fs::read_to_string(path("guardrail_cases.json")).unwrap()).unwrap();
    let groups = file["groups"].as_array().unwrap();
    let each = |group: &Value| -> Vec<Case> {
        let cases = group["cases"].as_array().unwrap();
        let group = group["group"].as_str().unwrap();
        cases.iter().map(|case| read(group, case)).collect()
    };
    groups.iter().flat_map(each).collect()
}

fn read(group: &str, case: &Value) -> Case {
    const KNOWN: [&str; 9] = [
        "case",
        "set",
        "role",
        "profile",
        "request",
        "scripts",
        "operation",
        "facts",
        "notIn",
    ];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    for member in case.as_object().unwrap().keys() {
        assert!(KNOWN.contains(&member.as_str()), "{member} in {case}");
    }
    let role = role(&case["role"]);
    let in_profile = &case["profile"];
    let roles = in_profile["roles"].as_u64().unwrap_or(1);
    let name = text(&in_profile["name"]).unwrap_or_else(|| role.name.clone());
    let path = in_profile["path"].as_str().unwrap_or("/");
    let profile = InstanceProfile::new(name.clone()).path(path);
    let profile = (0..roles).fold(profile, |profile, n| {
        profile.role(if n == 0 {
            role.name.clone()
        } else {
            second(&role).name
        })
    });
    let variables: BTreeMap<String, String> = case["set"].as_object().map_or_else(BTreeMap::new, |set| {
        set.iter()
            .map(|(name, value)| (name.clone(), text(value).unwrap()))
            .collect()
    });
    let operation = text(&case["operation"]).unwrap_or_else(|| "CreateComputeNodeGroup".to_owned());
    let named = text(&case["request"]).unwrap_or_else(|| profile_arn(&profile, partition(&variables)));
    Case {
        group: group.to_owned(),
        name: text(&case["case"]).unwrap(),
        requested: (operation == "CreateComputeNodeGroup").then_some(named),
        action: Action::ALL
            .into_iter()
            .find(|known| known.name() == operation)
            .unwrap(),
        variables,
        role,
        profile,
        profile_exists: in_profile["exists"].as_bool().unwrap_or(true),
        scripts: case["scripts"].clone(),
        facts: text(&case["facts"]),
        not_in: case["notIn"].as_object().map_or_else(Vec::new, |places| {
            assert!(places.values().all(Value::is_string), "a reason each: {case}");
            places.keys().cloned().collect()
        }),
    }
}

fn role(told: &Value) -> Role {
    let document = |value: &Value| {
        let text = value.as_str().map(Document::from);
        text.unwrap_or_else(|| Document::from(value.clone()))
    };
    let mut role = Role::new(told["name"].as_str().unwrap_or("AWSPCS-node"))
        .path(told["path"].as_str().unwrap_or("/"))
        .boundary(told["boundary"].as_str());
    if let Some(trust) = told.get("trust") {
        role = role.trust(document(trust));
    }
    for n in 0..told["allowedFirst"].as_u64().unwrap_or_default() {
        role = role.attach(format!("arn:aws:iam::{ACCOUNT}:policy/parallelcluster-{n:03}"));
    }
    let compute_node = json!(["arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy"]);
    for arn in told.get("attached").unwrap_or(&compute_node).as_array().unwrap() {
        role = role.attach(arn.as_str().unwrap());
    }
    for n in 0..told["registerFirst"].as_u64().unwrap_or_default() {
        let statement =
            json!({"Effect": "Allow", "Action": "pcs:RegisterComputeNodeGroupInstance", "Resource": "*"});
        role = role.inline(
            format!("register-{n:03}"),
            json!({"Version": "2012-10-17", "Statement": statement}),
        );
    }
    for (name, policy) in told["inline"].as_object().unwrap_or(&Map::new()) {
        role = role.inline(name.as_str(), document(policy));
    }
    role
}

/// The other role of a profile that holds two.
fn second(role: &Role) -> Role {
    Role {
        name: format!("{}-2", role.name),
        ..role.clone()
    }
}

fn partition(variables: &BTreeMap<String, String>) -> &str {
    variables.get("PCS_API_PARTITION").map_or("aws", String::as_str)
}

fn profile_arn(profile: &InstanceProfile, partition: &str) -> String {
    let (path, name) = (&profile.path, &profile.name);
    format!("arn:{partition}:iam::{ACCOUNT}:instance-profile{path}{name}")
}

/// What the gateway would read from IAM in this case.
fn facts(case: &Case) -> Facts {
    let partition = partition(&case.variables);
    let arn = profile_arn(&case.profile, partition);
    let requested = case.requested.clone().unwrap_or(arn.clone());
    match case.facts.as_deref() {
        Some("none") => return Facts::NotNeeded,
        Some("another profile") => {
            return Facts::Profile {
                requested: format!("{requested}-2"),
                found: Some(profile_facts(case, format!("{arn}-2"))),
            };
        }
        Some(other) => panic!("{other}"),
        None => {}
    }
    // IAM finds a profile by the last part of the ARN, whatever its case.
    let name = requested.rsplit('/').next().unwrap();
    let is_there = case.profile_exists && name.eq_ignore_ascii_case(&case.profile.name);
    Facts::Profile {
        found: is_there.then(|| profile_facts(case, arn)),
        requested,
    }
}

fn profile_facts(case: &Case, arn: String) -> ProfileFacts {
    let partition = partition(&case.variables);
    let roles = [case.role.clone(), second(&case.role)];
    let roles = roles.iter().take(case.profile.roles.len());
    ProfileFacts {
        arn,
        profile_id: "AIPADBQP57FF2AEXAMPLE".to_owned(),
        roles: roles.map(|role| role_facts(role, partition)).collect(),
    }
}

fn role_facts(role: &Role, partition: &str) -> RoleFacts {
    let parsed = |document: &Document| {
        let text: String = serde_json::from_value(serde_json::to_value(document).unwrap()).unwrap();
        policy_document::read(&text)
    };
    let (path, name) = (&role.path, &role.name);
    let mut attached = role.attached_policies.clone();
    attached.sort_unstable();
    let inline = role.inline_policies.iter();
    RoleFacts {
        arn: format!("arn:{partition}:iam::{ACCOUNT}:role{path}{name}"),
        role_id: "AROADBQP57FF2AEXAMPLE".to_owned(),
        name: name.clone(),
        path: path.clone(),
        deployment: None,
        boundary: role.permissions_boundary.clone(),
        boundary_version: None,
        trust: parsed(&role.trust),
        attached,
        inline: inline
            .map(|policy| (policy.name.clone(), parsed(&policy.document)))
            .collect(),
    }
}

/// The members of a request's body that guardrails look at.
fn input(case: &Case) -> Map<String, Value> {
    let mut input = Map::new();
    if let Some(arn) = &case.requested {
        input.insert("iamInstanceProfileArn".to_owned(), json!(arn));
    }
    let Some(sources) = case.scripts.as_array() else {
        return input;
    };
    let is_cluster = matches!(case.action, Action::CreateCluster | Action::UpdateCluster);
    let script = |(n, source): (usize, &Value)| {
        let mut script = json!({"name": format!("script-{n}"), "scriptSource": source});
        if is_cluster {
            script["type"] = json!("STARLARK");
        }
        script
    };
    let scripts: Vec<Value> = sources.iter().enumerate().map(script).collect();
    if is_cluster {
        let plugins = json!({"jobSubmitPlugins": scripts});
        input.insert("slurmConfiguration".to_owned(), plugins);
    } else {
        let stages = json!({"stages": {"nodeReady": scripts}});
        input.insert("nodeLifecycleActions".to_owned(), stages);
    }
    input
}

/// The rules that passed and those that refuse, each violation once.
type Verdict = (Vec<String>, Vec<String>);

fn decide(policy: &guardrails::Policy, case: &Case) -> Verdict {
    let call = Call {
        region: "us-east-1".to_owned(),
        dryrun: false,
        input: input(case),
        client_token: None,
        additional_iam_policies: None,
    };
    let owned = |rules: &[&'static str]| rules.iter().map(|rule| (*rule).to_owned()).collect();
    match guardrails::decide(policy, case.action, call, &facts(case)) {
        Ok(permit) => (owned(permit.passed()), Vec::new()),
        Err(denial) => {
            let violations = denial.violations.iter();
            let rules = violations.map(|violation| violation.rule.to_owned());
            (owned(&denial.passed), rules.collect())
        }
    }
}

/// The deployment's policy, read from its variables as the function does.
fn policy(deployment: &BTreeMap<String, String>, case: &Case) -> guardrails::Policy {
    let mut variables = deployment.clone();
    let partition = partition(&case.variables);
    variables.insert(
        "PCS_API_ADDITIONAL_IAM_POLICIES".to_owned(),
        documented(partition, ACCOUNT).join(","),
    );
    variables.extend(case.variables.clone());
    // PCS is not in every partition, so there is no Region that a configuration of it could name.
    variables.insert("PCS_API_PARTITION".to_owned(), "aws".to_owned());
    let policy = Config::read(|name| variables.get(name).cloned()).unwrap().policy;
    guardrails::Policy {
        partition: partition.to_owned(),
        ..policy
    }
}

fn table(verdicts: &[(Case, Verdict)]) -> String {
    let halves = |rule: &'static str| rule.split_once('-').unwrap_or(("", rule));
    let width = |rule: &'static str| {
        let (above, below) = halves(rule);
        above.len().max(below.len()).max("REFUSE".len())
    };
    let mut text = String::from(
        "What the guardrails say to each case of guardrail_cases.json: `pass`, `REFUSE`, or `-` for a rule that is not asked.\n\
         Run by: f the pure functions, g the whole gateway beside the IAM emulator, m the whole gateway beside moto.\n",
    );
    let mut group = "";
    for (case, (passed, refused)) in verdicts {
        if case.group != group {
            group = &case.group;
            write!(text, "\n{group}\n          by ").unwrap();
            for rule in COLUMNS {
                write!(text, " {:<1$}", halves(rule).0, width(rule)).unwrap();
            }
            text.truncate(text.trim_end().len());
            text.push_str("\n             ");
            for rule in COLUMNS {
                write!(text, " {:<1$}", halves(rule).1, width(rule)).unwrap();
            }
            text.push_str(" case\n");
        }
        let decision = if refused.is_empty() { "PERMIT" } else { "DENY" };
        let by = |place: &str, letter| {
            if case.not_in.iter().any(|not| not == place) {
                ' '
            } else {
                letter
            }
        };
        write!(text, "{decision:<9} f{}{}", by("gateway", 'g'), by("moto", 'm')).unwrap();
        for rule in COLUMNS {
            let among = |rules: &[String]| rules.iter().any(|found| found == rule);
            let cell = match (among(passed), among(refused)) {
                (true, false) => "pass",
                (false, true) => "REFUSE",
                (false, false) => "-",
                (true, true) => panic!("{rule} passed and refuses"),
            };
            write!(text, " {cell:<0$}", width(rule)).unwrap();
        }
        writeln!(text, " {}", case.name).unwrap();
    }
    text
}

#[tokio::test]
async fn the_matrix_is_the_reviewed_one() {
    let world = World::start().await;
    let verdicts: Vec<(Case, Verdict)> = cases()
        .into_iter()
        .map(|case| {
            let verdict = decide(&policy(world.stack.variables(), &case), &case);
            (case, verdict)
        })
        .collect();
    for (_, (passed, refused)) in &verdicts {
        for rule in passed.iter().chain(refused) {
            assert!(COLUMNS.contains(&rule.as_str()), "{rule} has no column");
        }
    }
    let found = table(&verdicts);
    let golden = path("output/guardrails-matrix.txt");
    if std::env::var("GOLDEN").is_ok_and(|mode| mode == "write") {
        fs::write(&golden, &found).unwrap();
    }
    let reviewed = fs::read_to_string(&golden).unwrap();
    for (found, reviewed) in found.lines().zip(reviewed.lines()) {
        assert_eq!(found, reviewed);
    }
    assert_eq!(found, reviewed);
}

/// Every rule refuses in some case and passes in some other: none is there for show.
#[tokio::test]
async fn every_rule_of_the_matrix_decides() {
    let world = World::start().await;
    let mut outcomes: BTreeMap<String, [bool; 2]> = BTreeMap::new();
    for case in cases() {
        let (passed, refused) = decide(&policy(world.stack.variables(), &case), &case);
        for rule in passed {
            outcomes.entry(rule).or_default()[0] = true;
        }
        for rule in refused {
            outcomes.entry(rule).or_default()[1] = true;
        }
    }
    for rule in COLUMNS {
        // Facts that are there are no rule; a denial for want of them is.
        let expected = [rule != "facts", true];
        assert_eq!(outcomes[rule], expected, "{rule}: passes, refuses");
    }
}

fn request(case: &Case) -> Value {
    let body = || Value::Object(input(case));
    match case.action.name() {
        "RegisterComputeNodeGroupInstance" => event("register-compute-node-group-instance"),
        "CreateComputeNodeGroup" => with_body(event("create-compute-node-group"), body()),
        "CreateCluster" => with_body(event("create-cluster"), body()),
        "UpdateCluster" => with_body(event("update-cluster"), body()),
        other => panic!("{other}: {}", case.name),
    }
}

/// Through API Gateway's event, IAM's wire and back: the same rules pass and refuse. A denial is a real call, which
/// changes nothing and is on record; a permit is a dry run.
#[tokio::test]
async fn the_gateway_comes_to_the_same() {
    let mut deployments: BTreeMap<BTreeMap<String, String>, Vec<Case>> = BTreeMap::new();
    for case in cases() {
        if !case.not_in.iter().any(|place| place == "gateway") {
            deployments.entry(case.variables.clone()).or_default().push(case);
        }
    }
    for (variables, cases) in deployments {
        let variables: Vec<(&str, &str)> = variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        // Not all in one: every check reads the whole audit table.
        for cases in cases.chunks(40) {
            let world = World::with(&variables).await;
            world.cluster().await;
            for case in cases {
                check_through(&world, case).await;
            }
        }
    }
}

async fn check_through(world: &World, case: &Case) {
    let seed = Seed::new().role(case.role.clone()).role(second(&case.role));
    // What is in AWS's own policies the emulator has to be told.
    let aws = case.role.permissions_boundary.iter();
    let aws = aws.filter(|arn| arn.starts_with("arn:aws:iam::aws:"));
    let seed = aws.fold(seed, |seed, arn| {
        seed.policy(Policy::new(
            arn,
            json!({"Version": "2012-10-17", "Statement": []}),
        ))
    });
    let seed = if case.profile_exists {
        seed.instance_profile(case.profile.clone())
    } else {
        seed
    };
    world.stack.iam_emulator.seed(seed).unwrap();
    let mut request = request(case);
    if !case.profile_exists {
        // The cases before this one may have left a profile of this name.
        let arn = format!("{}-gone", case.requested.as_deref().unwrap());
        request = with_body(request, json!({"iamInstanceProfileArn": arn}));
    }
    let (passed, refused) = decide(&policy(world.stack.variables(), case), case);
    let trace = if refused.is_empty() {
        let trace = traced(world, &with_query(request, &[("dryrun", "true")])).await;
        assert_eq!(trace.answer.status, 412, "{}: {:?}", case.name, trace.answer);
        trace.assert_nothing_changed();
        trace
    } else {
        let trace = traced(world, &request).await;
        let refused: Vec<&str> = refused.iter().map(String::as_str).collect();
        assert_eq!(trace.refused_by(), refused, "{}: {:?}", case.name, trace.answer);
        trace.assert_denied(&refused);
        trace
    };
    assert_eq!(trace.passed_rules(), passed, "{}", case.name);
    trace.assert_downstream_is_complete();
}
