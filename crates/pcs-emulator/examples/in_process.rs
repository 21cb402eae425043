//! AWS's Rust SDK against an emulator in the same process: no port, no account, no waiting.
//!
//! ```sh
//! cargo run -p pcs-emulator --features sdk --example in_process
//! ```

use std::time::Duration;

use aws_sdk_pcs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_pcs::types::{NetworkingRequest, SchedulerRequest, SchedulerType, Size};
use pcs_emulator::{Emulator, Options};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let emulator = Emulator::new(Options::default())?;
    let config = aws_sdk_pcs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::from_keys("AKIAIOSFODNN7EXAMPLE", "secret", None))
        .http_client(emulator.http_client())
        .build();
    let pcs = aws_sdk_pcs::Client::from_conf(config);

    let scheduler = SchedulerRequest::builder()
        .r#type(SchedulerType::Slurm)
        .version("25.11");
    let subnet = NetworkingRequest::builder().subnet_ids("subnet-0123456789abcdef0");
    pcs.create_cluster()
        .cluster_name("demo")
        .scheduler(scheduler.build()?)
        .size(Size::Small)
        .networking(subnet.build())
        .send()
        .await?;
    emulator.advance(Duration::from_mins(10));
    let answer = pcs.get_cluster().cluster_identifier("demo").send().await?;
    let cluster = answer.cluster().ok_or("no cluster")?;
    eprintln!("{} is {}", cluster.id(), cluster.status());
    Ok(())
}
