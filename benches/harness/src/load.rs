//! Many execution environments at once, each a process that asks again as soon as it is answered, until the
//! machine or the emulators are saturated. No answer but the expected one counts.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::{
    Options, Outcome,
    measure::{Times, micros},
    programs::Paths,
    report::{Report, figure},
    runtime_api::Function,
    world::{World, bytes},
};

const ENVIRONMENTS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Of eight calls five are reads, one is a create, one a 400 and one a denial.
const MIX: [(&str, i64); 8] = [
    ("list-clusters", 200),
    ("list-compute-node-groups", 200),
    ("create-compute-node-group", 202),
    ("list-clusters", 200),
    ("refused-invalid-members", 400),
    ("list-compute-node-groups", 200),
    ("refused-unknown-profile", 403),
    ("list-clusters", 200),
];

/// What one environment did.
#[derive(Default)]
struct Done {
    times: Vec<f64>,
    errors: u64,
}

pub async fn run(paths: &Paths, options: &Options, world: &World, report: &mut Report) -> Outcome<()> {
    let mut mix = Vec::new();
    for (name, status) in MIX {
        mix.push((bytes(&world.event(name)?), status));
    }
    let mut rows = Vec::new();
    let mut errors = 0;
    for environments in ENVIRONMENTS {
        let mut functions = Vec::new();
        for _ in 0..environments {
            let mut function = Function::start(&paths.gateway(&world.plain), None).await?;
            let (event, status) = mix.first().ok_or("no calls")?;
            function.invoke_for(event, *status).await?;
            functions.push(function);
        }
        let begun = Instant::now();
        let mut running = tokio::task::JoinSet::new();
        for (number, function) in functions.into_iter().enumerate() {
            running.spawn(repeat(function, mix.clone(), number, begun, options.load));
        }
        let mut all = Done::default();
        while let Some(done) = running.join_next().await {
            let mut done = done?;
            all.times.append(&mut done.times);
            all.errors += done.errors;
        }
        errors += all.errors;
        rows.push(row(environments, all, begun.elapsed()));
    }
    report.heading(&format!(
        "Load: five reads, a create, a 400 and a denial, over and over, {} s each",
        options.load.as_secs()
    ));
    let header = [
        "environments",
        "calls/s",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms",
        "errors",
    ];
    report.table("load", &header, &rows);
    if errors == 0 {
        Ok(())
    } else {
        Err(format!(
            "{}\n{errors} calls were not answered as they must be",
            report.text
        )
        .into())
    }
}

async fn repeat(
    mut function: Function,
    mix: Vec<(Bytes, i64)>,
    first: usize,
    begun: Instant,
    time: Duration,
) -> Done {
    let mut done = Done::default();
    for (event, status) in mix.iter().cycle().skip(first % mix.len()) {
        if begun.elapsed() >= time {
            break;
        }
        match function.invoke_for(event, *status).await {
            Ok(answer) => done.times.push(micros(answer.took)),
            Err(_) => done.errors += 1,
        }
    }
    done
}

#[expect(clippy::cast_precision_loss, reason = "calls of some seconds")]
fn row(environments: usize, done: Done, elapsed: Duration) -> Vec<String> {
    let rate = done.times.len() as f64 / elapsed.as_secs_f64();
    let times = Times::of(done.times);
    let ms = |share| figure(times.at(share) / 1e3);
    vec![
        environments.to_string(),
        figure(rate),
        ms(0.5),
        ms(0.99),
        ms(0.999),
        ms(1.0),
        done.errors.to_string(),
    ]
}
