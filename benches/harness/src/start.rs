//! Starts: the floor, the gateway plain and over TLS, and the bare handler; then the gateway beside Python, by
//! themselves, because what starts after Python finds cold caches.

use bytes::Bytes;

use crate::{
    Options, Outcome,
    measure::{self, Contestant, Starts},
    programs::{Paths, Program},
    report::{Budget, Limit, Report, figure},
    scenarios::Watched,
    world::{self, World},
};

pub async fn run(
    paths: &Paths,
    options: &Options,
    world: &World,
    (read, floor): (&Watched, &Contestant),
    report: &mut Report,
) -> Outcome<()> {
    let contestant = |program: Program, over: &str, event: &Bytes, status| {
        let name = format!("{}, {over}", program.name);
        Contestant {
            program: program.named(&name),
            event: event.clone(),
            status,
        }
    };
    let mut own = vec![floor.clone()];
    for (over, endpoints) in [("TLS", &world.tls), ("plain HTTP", &world.plain)] {
        let bare = paths.bare("read", &read.row, endpoints);
        let programs = paths.gateways(endpoints).into_iter().chain([bare]);
        own.extend(programs.map(|program| contestant(program, over, &read.event, 200)));
    }
    let gateway = contestant(paths.gateway(&world.tls), "TLS", &read.event, 200);
    let python = paths.python(&read.row, &world.tls);
    let peer = paths.parallelcluster();
    let peer_event = world::parallelcluster_event();
    let others = [
        python.map(|program| contestant(program, "TLS", &read.event, 200)),
        peer.map(|program| contestant(program, "a 400", &peer_event, 400)),
    ];
    let mut others: Vec<Contestant> = others.into_iter().flatten().collect();

    let starts = measure::starts(&own, options.rounds, options.pause).await?;
    report.heading(&format!(
        "Start: a read as first call; medians of {} starts in turn",
        options.rounds
    ));
    table("start", "floor", &own, &starts, report)?;
    budgets(&own, &starts, report);
    if !others.is_empty() {
        others.insert(0, gateway);
        let starts = measure::starts(&others, options.rounds, options.pause).await?;
        report.heading("Start, beside Python: as many, in turn");
        table("start_beside_python", "gateway", &others, &starts, report)?;
        ahead_budgets(&others, &starts, report);
    }
    Ok(())
}

/// Of `contestants`, the first of which the others are compared with under the name `base`.
fn table(
    name: &str,
    base: &str,
    contestants: &[Contestant],
    starts: &[Starts],
    report: &mut Report,
) -> Outcome<()> {
    let first = starts.first().ok_or("nothing was started")?;
    let times = format!("x {base}");
    // In JSON the second needs a name of its own.
    let times_again = format!("x {base} ");
    let header = [
        "",
        "poll us",
        &times,
        "answer us",
        &times_again,
        "event to answer us",
        "CPU us",
        "peak MiB",
    ];
    let rows: Vec<Vec<String>> = contestants
        .iter()
        .zip(starts)
        .map(|(contestant, starts)| {
            vec![
                contestant.program.name.clone(),
                figure(starts.poll.median()),
                figure(starts.poll.ratio(&first.poll)),
                figure(starts.answer.median()),
                figure(starts.answer.ratio(&first.answer)),
                figure(starts.first_call.median()),
                figure(starts.cpu.median()),
                figure(starts.peak_kib.median() / 1024.0),
            ]
        })
        .collect();
    report.table(name, &header, &rows);
    Ok(())
}

/// What the program of this name took.
fn of<'a>(contestants: &[Contestant], starts: &'a [Starts], name: &str) -> Option<&'a Starts> {
    let mut pairs = contestants.iter().zip(starts);
    let named = pairs.find(|(contestant, _)| contestant.program.name == name);
    named.map(|(_, starts)| starts)
}

fn budgets(contestants: &[Contestant], starts: &[Starts], report: &mut Report) {
    let of = |name| of(contestants, starts, name);
    let (Some(floor), Some(gateway)) = (of("floor"), of("gateway, TLS")) else {
        return;
    };
    report.budgets.push(Budget::new(
        "spawn to first poll, x floor",
        gateway.poll.ratio(&floor.poll),
        Limit::AtMost(1.2),
    ));
    report.budgets.push(Budget::new(
        "spawn to first answer over TLS with its row, x floor",
        gateway.answer.ratio(&floor.answer),
        Limit::AtMost(3.0),
    ));
}

fn ahead_budgets(contestants: &[Contestant], starts: &[Starts], report: &mut Report) {
    let of = |name| of(contestants, starts, name);
    let Some(gateway) = of("gateway, TLS") else {
        return;
    };
    let mut add = |what: &str, measured, limit| report.budgets.push(Budget::new(what, measured, limit));
    if let Some(python) = of("Python, boto3, TLS") {
        add(
            "Python's spawn to first poll, x the gateway's",
            python.poll.ratio(&gateway.poll),
            Limit::AtLeast(50.0),
        );
        add(
            "Python's spawn to first answer, x the gateway's",
            python.answer.ratio(&gateway.answer),
            Limit::AtLeast(1.0),
        );
    }
    if let Some(peer) = of("ParallelCluster API, a 400") {
        add(
            "ParallelCluster's spawn to first poll, x the gateway's",
            peer.poll.ratio(&gateway.poll),
            Limit::AtLeast(200.0),
        );
    }
}
