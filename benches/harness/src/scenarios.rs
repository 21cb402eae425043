//! Start, and warm calls of each kind, beside the floor, the bare handlers and what others would run.

use bytes::Bytes;
use serde_json::Value;

use crate::{
    Options, Outcome,
    measure::{self, Contestant, Times, Warm},
    programs::Paths,
    report::{Budget, Limit, Report, figure},
    runtime_api::Function,
    start,
    upstream::{Counts, Endpoints},
    world::{self, World, bytes},
};

/// One kind of request.
struct Scenario {
    name: &'static str,
    event: &'static str,
    status: i64,
    /// The bare handler whose time is the measure, and how many times as long the gateway may take.
    bare: &'static str,
    budget: Option<f64>,
}

const SCENARIOS: [Scenario; 6] = [
    Scenario {
        name: "read",
        event: "list-clusters",
        status: 200,
        bare: "read",
        budget: Some(1.25),
    },
    Scenario {
        name: "404",
        event: "refused-unknown-route",
        status: 404,
        bare: "put",
        budget: Some(1.3),
    },
    Scenario {
        name: "400",
        event: "refused-invalid-members",
        status: 400,
        bare: "put",
        budget: Some(1.3),
    },
    Scenario {
        name: "denial by a setting",
        event: "register-compute-node-group-instance",
        status: 403,
        bare: "put",
        budget: Some(1.3),
    },
    Scenario {
        name: "denial by a role",
        event: "refused-unknown-profile",
        status: 403,
        bare: "denied",
        budget: None,
    },
    Scenario {
        name: "allowed create",
        event: "create-compute-node-group",
        status: 202,
        bare: "create",
        budget: None,
    },
];

/// A kind of request with what the gateway does in it.
pub struct Watched {
    scenario: &'static Scenario,
    pub event: Bytes,
    counts: Counts,
    /// The last row that the gateway put.
    pub row: Value,
}

pub async fn run(paths: &Paths, options: &Options, world: &World, report: &mut Report) -> Outcome<()> {
    let mut watched = Vec::new();
    for scenario in &SCENARIOS {
        let event = bytes(&world.event(scenario.event)?);
        let (counts, row) = world.watch(paths, &event, scenario.status).await?;
        watched.push(Watched {
            scenario,
            event,
            counts,
            row,
        });
    }
    let (read, floor) = watched.split_first().ok_or("no scenario").map(|(read, _)| {
        let floor = Contestant {
            program: paths.floor(),
            event: read.event.clone(),
            status: 200,
        };
        (read, floor)
    })?;
    start::run(paths, options, world, (read, &floor), report).await?;
    warm(paths, options, world, (&watched, &floor), report).await?;
    slow(paths, options, world, &watched, report).await?;
    own_time(paths, options, world, read, report).await
}

/// Every scenario's gateway and bare handler, all in one run.
async fn warm(
    paths: &Paths,
    options: &Options,
    world: &World,
    (watched, floor): (&[Watched], &Contestant),
    report: &mut Report,
) -> Outcome<()> {
    let mut contestants = vec![floor.clone()];
    // The floor's calls belong to no scenario.
    let mut pairs = vec![(None, "floor".to_owned())];
    for one in watched {
        for contestant in contest(paths, &world.plain, one, true) {
            pairs.push((Some(one), contestant.program.name.clone()));
            contestants.push(contestant);
        }
    }
    if let (Some(read), Some(python)) = (
        watched.first(),
        watched
            .first()
            .and_then(|read| paths.python(&read.row, &world.plain)),
    ) {
        pairs.push((Some(read), python.name.clone()));
        contestants.push(Contestant {
            program: python,
            event: read.event.clone(),
            status: 200,
        });
    }
    let measured = measure::warm(&contestants, options.calls).await?;
    let entries: Vec<(Option<&Watched>, String, Warm)> = pairs
        .into_iter()
        .zip(measured)
        .map(|((one, name), warm)| (one, name, warm))
        .collect();
    let rows: Vec<Vec<String>> = entries.iter().map(|entry| warm_row(entry, &entries)).collect();
    report.heading(&format!(
        "Warm: {} calls each, in turn; both hops of the Runtime API included",
        options.calls
    ));
    let header = [
        "request",
        "program",
        "p50 us",
        "p99 us",
        "CPU us",
        "peak MiB",
        "x bare",
        "PCS+IAM+puts",
    ];
    report.table("warm", &header, &rows);
    warm_budgets(&entries, report);
    Ok(())
}

type Entry<'a> = (Option<&'a Watched>, String, Warm);

/// The gateway and the bare handlers of a scenario.
fn contest(paths: &Paths, endpoints: &Endpoints, one: &Watched, variants: bool) -> Vec<Contestant> {
    let scenario = one.scenario;
    let mut programs = if variants {
        paths.gateways(endpoints)
    } else {
        vec![paths.gateway(endpoints)]
    };
    let status = scenario.status;
    let mut found: Vec<Contestant> = programs
        .drain(..)
        .map(|program| Contestant {
            program,
            event: one.event.clone(),
            status,
        })
        .collect();
    let mut bare = |calls: &str, status| {
        found.push(Contestant {
            program: paths.bare(calls, &one.row, endpoints),
            event: one.event.clone(),
            status,
        });
    };
    bare(scenario.bare, if scenario.bare == "put" { 404 } else { status });
    if scenario.bare == "create" {
        bare("create-chain", status);
    }
    found
}

fn scenario_name(one: Option<&Watched>) -> &'static str {
    one.map_or("", |one| one.scenario.name)
}

/// How many times the scenario's own bare handler this took.
fn times_bare(warm: &Warm, entries: &[Entry<'_>], scenario: &Scenario) -> f64 {
    let name = format!("bare {}", scenario.bare);
    let entry = entries
        .iter()
        .find(|(one, program, _)| scenario_name(*one) == scenario.name && *program == name);
    entry.map_or(f64::NAN, |(_, _, bare)| warm.round.ratio(&bare.round))
}

fn warm_row((one, program, warm): &Entry<'_>, entries: &[Entry<'_>]) -> Vec<String> {
    let bare = one.map_or(f64::NAN, |one| times_bare(warm, entries, one.scenario));
    let calls = one.map_or(String::new(), |one| {
        format!("{}+{}+{}", one.counts.pcs, one.counts.iam, one.counts.dynamodb)
    });
    vec![
        scenario_name(*one).to_owned(),
        program.clone(),
        figure(warm.took.median()),
        figure(warm.took.at(0.99)),
        figure(warm.cpu),
        figure(warm.peak_kib / 1024.0),
        figure(bare),
        if program.starts_with("gateway") {
            calls
        } else {
            String::new()
        },
    ]
}

fn warm_budgets(entries: &[Entry<'_>], report: &mut Report) {
    let gateways = entries.iter().filter(|(_, program, _)| program == "gateway");
    let mut peak: f64 = 0.0;
    for (one, _, warm) in gateways {
        peak = peak.max(warm.peak_kib / 1024.0);
        let Some(one) = one else { continue };
        if let Some(budget) = one.scenario.budget {
            report.budgets.push(Budget::new(
                format!("warm {}, x bare {}", one.scenario.name, one.scenario.bare),
                times_bare(warm, entries, one.scenario),
                Limit::AtMost(budget),
            ));
        }
    }
    report.budgets.push(Budget::new(
        "peak memory of any warm gateway, MiB",
        peak,
        Limit::AtMost(12.0),
    ));
    let read = |name: &str| {
        let mut reads = entries.iter().filter(|(one, _, _)| scenario_name(*one) == "read");
        reads
            .find(|(_, program, _)| program == name)
            .map(|(_, _, warm)| warm)
    };
    if let (Some(gateway), Some(python)) = (read("gateway"), read("Python, boto3")) {
        let mut add = |what: &str, measured| {
            report
                .budgets
                .push(Budget::new(what, measured, Limit::AtLeast(5.0)));
        };
        add(
            "Python's CPU for a read, x the gateway's",
            python.cpu / gateway.cpu,
        );
        add(
            "Python's peak memory, x the gateway's",
            python.peak_kib / gateway.peak_kib,
        );
    }
}

/// The same with a latency before every answer, as AWS has one: what counts then is what waits for what.
async fn slow(
    paths: &Paths,
    options: &Options,
    world: &World,
    watched: &[Watched],
    report: &mut Report,
) -> Outcome<()> {
    let calls = (options.calls / 10).max(20);
    let mut contestants = Vec::new();
    let mut pairs = Vec::new();
    for one in watched {
        for contestant in contest(paths, &world.slow, one, false) {
            pairs.push((one, contestant.program.name.clone()));
            contestants.push(contestant);
        }
    }
    let measured = measure::warm(&contestants, calls).await?;
    let entries: Vec<(&Watched, String, Warm)> = pairs
        .into_iter()
        .zip(measured)
        .map(|((one, name), warm)| (one, name, warm))
        .collect();
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|(one, program, warm)| {
            vec![
                one.scenario.name.to_owned(),
                program.clone(),
                figure(warm.took.median() / 1e3),
                figure(warm.took.at(0.99) / 1e3),
            ]
        })
        .collect();
    let latency = world::LATENCY_MS;
    report.heading(&format!(
        "Warm, each answer of PCS, IAM and DynamoDB {latency} ms late: {calls} calls each, in turn"
    ));
    report.table("slow", &["request", "program", "p50 ms", "p99 ms"], &rows);
    let of = |name: &str| {
        let mut creates = entries
            .iter()
            .filter(|(one, _, _)| one.scenario.name == "allowed create");
        let create = creates.find(|(_, program, _)| program == name);
        create.map(|(_, _, warm)| &warm.round).ok_or("no create")
    };
    report.budgets.push(Budget::new(
        format!("allowed create, x its longest dependent chain, answers {latency} ms late"),
        of("gateway")?.ratio(of("bare create-chain")?),
        Limit::AtMost(1.3),
    ));
    Ok(())
}

/// The gateway's call and, from a function of the same kind, the SDK's calls straight to the same upstreams.
async fn own_time(
    paths: &Paths,
    options: &Options,
    world: &World,
    read: &Watched,
    report: &mut Report,
) -> Outcome<()> {
    let mut floor = Function::start(&paths.floor(), None).await?;
    let mut gateway = Function::start(&paths.gateway(&world.plain), None).await?;
    let program = paths.bare("direct", &read.row, &world.plain);
    let mut direct = Function::start(&program, None).await?;
    let (mut floors, mut gateways, mut list, mut put) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..=(options.calls / 50).max(2) {
        let answer = direct.invoke_for(&read.event, 200).await?;
        let body = answer.body.get("body").and_then(Value::as_str);
        let body: Value = serde_json::from_str(body.unwrap_or_default())?;
        if round == 0 {
            continue;
        }
        for (name, times) in [("list", &mut list), ("put", &mut put)] {
            let found = body.get(name).and_then(Value::as_array);
            let nanoseconds = found.into_iter().flatten().filter_map(Value::as_f64);
            times.extend(nanoseconds.map(|nanoseconds| nanoseconds / 1e3));
        }
        for _ in 0..50 {
            floors.push(measure::micros(floor.invoke_for(&read.event, 200).await?.took));
            gateways.push(measure::micros(gateway.invoke_for(&read.event, 200).await?.took));
        }
    }
    let median = |times: Vec<f64>| Times::of(times).median();
    let (floor, gateway, list, put) = (median(floors), median(gateways), median(list), median(put));
    let own = gateway - floor - list - put;
    report.heading("The gateway's own time in a read: the call, less the floor's hops and the two SDK calls");
    let row = [gateway, floor, list, put, own].map(figure).to_vec();
    let header = ["gateway us", "floor us", "ListClusters us", "put us", "own us"];
    report.table("own", &header, &[row]);
    Ok(())
}
