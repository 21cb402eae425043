//! What cannot flake: instructions executed, counted by Valgrind, and the size of the binary, against committed
//! figures. No clock is read.
//!
//! The difference between a long and a short run of the release binary itself is the cost of a call; the run that
//! is ended at its first poll is the cost of a start. The binary has its C library in it and no loader, so that every
//! machine with the figures' kind of processor counts the same. More than the figure and its margin fails; less than
//! the figure less its margin asks for a new figure, so that what was won is not lost again unseen.

use std::{
    env::consts::ARCH,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    Outcome, bodies,
    programs::{Paths, Program},
    report::{Report, figure},
    runtime_api::Function,
    world::{World, bytes},
};

const SHORT: u32 = 20;
const LONG: u32 = 120;
/// On a machine that is too busy the function, a hundred times slower under Valgrind, runs into its own time limits.
const TRIES: u32 = 3;
/// Calls that are counted, besides the start.
const CALLS: [(&str, &str, i64); 2] = [
    ("readInstructions", "list-clusters", 200),
    ("denialInstructions", "register-compute-node-group-instance", 403),
];

/// Checks against `figures`, or writes them there.
pub async fn run(
    paths: &Paths,
    world: &World,
    folder: &Path,
    (figures, write): (&Path, bool),
    report: &mut Report,
) -> Outcome<()> {
    let committed: Value = serde_json::from_str(&fs::read_to_string(figures)?)?;
    let bytes = fs::metadata(&paths.gateway)?.len();
    if !write {
        fits(&committed, bytes)?;
        if committed.get("processor").and_then(Value::as_str) != Some(ARCH) {
            report.heading(&format!(
                "NOT CHECKED: instructions, and the change in size: benches/figures.json is not for {ARCH}"
            ));
            return Ok(());
        }
    }
    let mut measured = vec![("binaryBytes", bytes)];
    if valgrind_is_there() {
        match instructions(paths, world, folder).await {
            Ok(mut counted) => measured.append(&mut counted),
            Err(error) => report.heading(&format!("NOT CHECKED: instructions: {error}")),
        }
    } else {
        report.heading(
            "NOT CHECKED: instructions; there is no valgrind (on Debian and Ubuntu: the package valgrind)",
        );
    }
    if write {
        return write_figures(figures, committed, &measured);
    }
    compare(&committed, &measured, report)?;
    if valgrind_is_there() {
        of_bodies(paths, world, folder, report).await?;
    }
    Ok(())
}

/// The worst bodies of the greatest size beside the best. Whatever multiplies one size that a caller chooses by another
/// is hundreds of times the best here, and needs no committed figure to be seen.
async fn of_bodies(paths: &Paths, world: &World, folder: &Path, report: &mut Report) -> Outcome<()> {
    const FEW: u32 = 2;
    const MORE: u32 = 4;
    let mut counted: Vec<(&str, u64)> = Vec::new();
    for (name, contestant) in bodies::contestants(paths, world)? {
        let program = under_valgrind(contestant.program, folder);
        let few = retried(&program, folder, (&contestant.event, contestant.status, FEW)).await?;
        let more = retried(&program, folder, (&contestant.event, contestant.status, MORE)).await?;
        counted.push((name, more.saturating_sub(few) / u64::from(MORE - FEW)));
    }
    let best = counted
        .first()
        .map_or(1, |(_, instructions)| *instructions)
        .max(1);
    #[expect(clippy::cast_precision_loss, reason = "below 2^52")]
    let ratios = counted
        .iter()
        .map(|(name, instructions)| (*name, *instructions as f64 / best as f64));
    let ratios: Vec<(&str, f64)> = ratios.collect();
    let rows: Vec<Vec<String>> = counted
        .iter()
        .zip(&ratios)
        .map(|((name, instructions), (_, ratio))| {
            vec![(*name).to_owned(), instructions.to_string(), figure(*ratio)]
        })
        .collect();
    report.heading("Instructions of a refused body of 1 MB, the worst kinds beside the best (the first)");
    report.table("bodies", &["body", "instructions", "x the best"], &rows);
    match ratios.iter().find(|(_, ratio)| *ratio > bodies::WORST_TO_BEST) {
        Some((name, ratio)) => Err(format!(
            "{}\na body of the kind `{name}` costs {ratio:.0} times what one of the best kind does, more than {} times",
            report.text,
            bodies::WORST_TO_BEST
        )
        .into()),
        None => Ok(()),
    }
}

/// Of a start, and of each kind of call.
async fn instructions(paths: &Paths, world: &World, folder: &Path) -> Outcome<Vec<(&'static str, u64)>> {
    let program = under_valgrind(paths.gateway(&world.plain), folder);
    let mut measured = vec![("startInstructions", count(&program, folder, None).await?)];
    for (name, event, status) in CALLS {
        let event = bytes(&world.event(event)?);
        let short = retried(&program, folder, (&event, status, SHORT)).await?;
        let long = retried(&program, folder, (&event, status, LONG)).await?;
        measured.push((name, long.saturating_sub(short) / u64::from(LONG - SHORT)));
    }
    Ok(measured)
}

async fn retried(program: &Program, folder: &Path, calls: (&Bytes, i64, u32)) -> Outcome<u64> {
    let mut counted = count(program, folder, Some(calls)).await;
    for _ in 1..TRIES {
        if counted.is_ok() {
            break;
        }
        counted = count(program, folder, Some(calls)).await;
    }
    counted
}

/// Counts one kind of call and leaves what `callgrind_annotate` reads; the binary should have its symbols.
pub async fn profile(paths: &Paths, world: &World, folder: &Path, name: &str) -> Outcome<String> {
    let event = bytes(&world.event(name)?);
    let mut gateway = Function::start(&paths.gateway(&world.plain), None).await?;
    let status = gateway.invoke(&event).await?.status;
    let program = under_valgrind(paths.gateway(&world.plain), folder);
    let instructions = count(&program, folder, Some((&event, status, LONG))).await?;
    let out = folder.join("callgrind.out");
    Ok(format!(
        "{instructions} instructions in a start and {LONG} calls: {}\n",
        out.display()
    ))
}

fn valgrind_is_there() -> bool {
    let version = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

fn under_valgrind(program: Program, folder: &Path) -> Program {
    let out = format!("--callgrind-out-file={}", folder.join("callgrind.out").display());
    let mut command = vec![
        "valgrind".to_owned(),
        "--tool=callgrind".to_owned(),
        "--quiet".to_owned(),
        out,
    ];
    command.extend(program.command);
    Program { command, ..program }
}

/// Instructions of a run with so many calls, or of a start alone.
async fn count(program: &Program, folder: &Path, calls: Option<(&Bytes, i64, u32)>) -> Outcome<u64> {
    let mut function = Function::start(program, None).await?;
    function.first_poll().await?;
    if let Some((event, status, calls)) = calls {
        for _ in 0..calls {
            function.invoke_for(event, status).await?;
        }
    }
    // It polls again by now, or soon; what that costs is the same for every run.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let id = function.id().to_string();
    Command::new("kill").args(["-TERM", &id]).status()?;
    function.wait()?;
    counted(&fs::read_to_string(folder.join("callgrind.out"))?)
        .ok_or_else(|| "callgrind counted nothing".into())
}

/// The total in a file of callgrind's ("Callgrind Format Specification" in Valgrind's manual).
fn counted(text: &str) -> Option<u64> {
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    totals?.trim().parse().ok()
}

fn write_figures(path: &Path, mut committed: Value, measured: &[(&str, u64)]) -> Outcome<()> {
    let members = committed.as_object_mut().ok_or("figures.json is no object")?;
    members.insert("processor".to_owned(), json!(ARCH));
    for (name, value) in measured {
        members.insert((*name).to_owned(), json!(value));
    }
    fs::write(path, serde_json::to_string_pretty(&committed)? + "\n")?;
    Ok(())
}

/// The size that no figure excuses, whatever the processor.
fn fits(committed: &Value, bytes: u64) -> Outcome<()> {
    let most = committed.get("binaryBytesMost").and_then(Value::as_u64);
    let most = most.ok_or("figures.json has no binaryBytesMost")?;
    if bytes > most {
        return Err(format!("the binary has {bytes} bytes, more than binaryBytesMost allows: {most}").into());
    }
    Ok(())
}

fn compare(committed: &Value, measured: &[(&str, u64)], report: &mut Report) -> Outcome<()> {
    let of = |name: &str| committed.get(name).and_then(Value::as_f64);
    let margin = of("marginPercent").ok_or("figures.json has no marginPercent")?;
    let mut rows = Vec::new();
    let mut broken = false;
    for (name, value) in measured {
        let figure_of = of(name).ok_or_else(|| format!("figures.json has no {name}"))?;
        #[expect(clippy::cast_precision_loss, reason = "below 2^52")]
        let value = *value as f64;
        let change = (value / figure_of - 1.0) * 100.0;
        let verdict = if change > margin {
            broken = true;
            "TOO MUCH"
        } else if change < -margin {
            "less: write the new figure with scripts/bench --write-figures"
        } else {
            "ok"
        };
        rows.push(vec![
            (*name).to_owned(),
            format!("{value:.0}"),
            format!("{figure_of:.0}"),
            format!("{}%", figure(change)),
            verdict.to_owned(),
        ]);
    }
    report.heading(&format!(
        "Instructions and size against benches/figures.json, margin {margin} %"
    ));
    report.table(
        "guard",
        &["", "measured", "committed", "change", "verdict"],
        &rows,
    );
    if broken {
        return Err(format!(
            "{}\nmore than the committed figures allow; see docs/performance.md",
            report.text
        )
        .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_counts() {
        let text = "events: Ir\nsummary: 1111\n\nob=(1) /bin/pcs-api\nfn=(1) main\n10 1111\n\ntotals: 1111\n";
        assert_eq!(counted(text), Some(1111));
        assert_eq!(counted("events: Ir\n"), None);
    }

    #[test]
    fn no_figure_excuses_a_binary_that_is_too_large() {
        let committed = json!({"binaryBytes": 9, "binaryBytesMost": 8});
        assert!(fits(&committed, 8).is_ok());
        assert!(fits(&committed, 9).is_err());
        assert!(fits(&json!({}), 1).is_err());
    }
}
