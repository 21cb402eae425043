//! How everything is measured: programs in turn, round after round, so that a machine that gets faster or slower
//! does so for all of them, and in another order each round, because what ran just before a program leaves its mark
//! on it. Times are medians. A ratio is the median of the rounds' own ratios, each of two figures that were taken a
//! moment apart: a ratio of medians that were reached at different moments says what else ran then.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use crate::{
    Outcome,
    programs::Program,
    runtime_api::{Answer, Function, Usage},
};

/// A program, what it is asked, and the status without which a run is void.
#[derive(Debug, Clone)]
pub struct Contestant {
    pub program: Program,
    pub event: Bytes,
    pub status: i64,
}

/// Sorted figures, as a rule microseconds.
#[derive(Debug, Clone, Default)]
pub struct Times(Vec<f64>);

/// A figure of each round, in the order of the rounds.
#[derive(Debug, Clone, Default)]
pub struct Rounds(Vec<f64>);

/// Of many starts.
#[derive(Debug, Clone, Default)]
pub struct Starts {
    /// Microseconds from the start of the process to its first poll.
    pub poll: Rounds,
    /// Microseconds from the start of the process to its first answer.
    pub answer: Rounds,
    /// Microseconds from handing out the first event to its answer.
    pub first_call: Rounds,
    /// KiB after the first answer.
    pub peak_kib: Rounds,
    /// Microseconds of processor time of the whole start and the first answer.
    pub cpu: Rounds,
}

/// Of many calls to one process.
#[derive(Debug, Clone, Default)]
pub struct Warm {
    /// Microseconds of each call.
    pub took: Times,
    /// Median of the calls of each round.
    pub round: Rounds,
    /// Microseconds of processor time for each call.
    pub cpu: f64,
    pub peak_kib: f64,
}

/// The same orders in every run: Knuth's linear congruential generator (MMIX), which is random enough for that.
#[derive(Default)]
struct Order(u64);

impl Order {
    fn shuffle<T>(&mut self, turns: &mut [T]) {
        for last in (1..turns.len()).rev() {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
            self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
            let place = usize::try_from(self.0 >> 33).unwrap_or_default() % (last + 1);
            turns.swap(last, place);
        }
    }
}

impl Rounds {
    pub fn median(&self) -> f64 {
        Times::of(self.0.clone()).median()
    }

    /// How many times the other figure this one is: the median of the rounds' quotients.
    pub fn ratio(&self, other: &Rounds) -> f64 {
        let quotients = self.0.iter().zip(&other.0).map(|(own, other)| own / other);
        Times::of(quotients.collect()).median()
    }
}

impl Times {
    pub fn of(mut times: Vec<f64>) -> Times {
        times.sort_by(f64::total_cmp);
        Times(times)
    }

    /// 0.5 is the median.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "there are few, and the share is between 0 and 1"
    )]
    pub fn at(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let place = (last as f64 * share).round() as usize;
        self.0.get(place).copied().unwrap_or(f64::NAN)
    }

    pub fn median(&self) -> f64 {
        self.at(0.5)
    }
}

pub fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Starts each in turn, `rounds` times, and lets it answer once. Each is started twice in a row and the second time
/// counts, which leaves less of the mark of what ran before. In the `pause` after it its connections are cleared away,
/// which for TLS is work; a program with a share of a processor needs a longer one, or its share is used up.
pub async fn starts(contestants: &[Contestant], rounds: u32, pause: Duration) -> Outcome<Vec<Starts>> {
    let mut all = vec![Starts::default(); contestants.len()];
    let mut turns: Vec<_> = contestants.iter().zip(&mut all).collect();
    let mut order = Order::default();
    // The first round fills the page cache and is not counted.
    for round in 0..=rounds {
        order.shuffle(&mut turns);
        for (contestant, starts) in &mut turns {
            start(contestant).await?;
            sleep(pause).await;
            let (poll, answer, usage) = start(contestant).await?;
            sleep(pause).await;
            if round > 0 {
                starts.poll.0.push(micros(poll));
                starts.answer.0.push(micros(answer.since_spawn));
                starts.first_call.0.push(micros(answer.took));
                starts.peak_kib.0.push(kib(usage.peak_kib));
                starts.cpu.0.push(micros(usage.cpu));
            }
        }
    }
    Ok(all)
}

/// Time of the first poll, the first answer, and what it took.
async fn start(contestant: &Contestant) -> Outcome<(Duration, Answer, Usage)> {
    let mut function = Function::start(&contestant.program, Some(&contestant.event)).await?;
    let poll = function.first_poll().await?;
    let answer = function.answer().await?;
    let answer = answer.expect(contestant.status, &contestant.program.name)?;
    Ok((poll, answer, function.usage()?))
}

/// Calls each, a batch at a time in turn, until each has had `calls`.
pub async fn warm(contestants: &[Contestant], calls: u32) -> Outcome<Vec<Warm>> {
    const FIRST: u32 = 50;
    // As few as let a process find its caches warm again: what a round takes is how long the machine must not change.
    const BATCH: u32 = 10;
    let mut running = Vec::new();
    for contestant in contestants {
        let mut function = Function::start(&contestant.program, None).await?;
        for _ in 0..FIRST {
            function.invoke_for(&contestant.event, contestant.status).await?;
        }
        let before = function.usage()?.cpu;
        running.push((function, before, Vec::new(), Rounds::default()));
    }
    let mut turns: Vec<_> = contestants.iter().zip(&mut running).collect();
    let mut order = Order::default();
    let mut done = 0;
    while done < calls {
        let batch = BATCH.min(calls - done);
        order.shuffle(&mut turns);
        for (contestant, (function, _, times, rounds)) in &mut turns {
            let mut round = Vec::new();
            for _ in 0..batch {
                let answer = function.invoke_for(&contestant.event, contestant.status).await?;
                round.push(micros(answer.took));
            }
            times.extend_from_slice(&round);
            rounds.0.push(Times::of(round).median());
        }
        done += batch;
    }
    running
        .into_iter()
        .map(|(function, before, times, round)| {
            let usage = function.usage()?;
            Ok(Warm {
                took: Times::of(times),
                round,
                cpu: micros(usage.cpu.saturating_sub(before)) / f64::from(calls),
                peak_kib: kib(usage.peak_kib),
            })
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "below 2^52")]
fn kib(kib: u64) -> f64 {
    kib as f64
}
