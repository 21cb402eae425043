//! AWS's Rust SDK, a client nobody here wrote: the life of `tests/life.json`, in process and over a port.

use std::time::Duration;

use aws_sdk_pcs::Client;
use aws_sdk_pcs::config::retry::RetryConfig;
use aws_sdk_pcs::config::timeout::TimeoutConfig;
use aws_sdk_pcs::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_pcs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_pcs::types::{
    AccountingMode, AccountingRequest, ClusterSlurmConfigurationRequest, ClusterStatus,
    ComputeNodeGroupConfiguration, ComputeNodeGroupStatus, CustomLaunchTemplate, InstanceConfig,
    NetworkingRequest, QueueStatus, ScalingConfigurationRequest, SchedulerRequest, SchedulerType, Size,
    SlurmCustomSetting, UpdateQueueSlurmConfigurationRequest, UpdateSchedulerRequest,
};
use http::StatusCode;
use pcs_emulator::{Effect, Emulator, Fault, Options};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::world::{PROFILE, record};

const STEP: Duration = Duration::from_hours(1);

fn emulator() -> Emulator {
    Emulator::new(Options {
        transition: Duration::from_mins(1),
        record: record(),
        ..Options::default()
    })
    .unwrap()
}

fn config(attempts: u32) -> Builder {
    aws_sdk_pcs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::from_keys("AKIAIOSFODNN7EXAMPLE", "secret", None))
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(attempts)
                .with_initial_backoff(Duration::from_millis(1)),
        )
}

fn in_process(emulator: &Emulator, attempts: u32) -> Client {
    Client::from_conf(config(attempts).http_client(emulator.http_client()).build())
}

#[tokio::test]
async fn a_life_in_process() {
    let emulator = emulator();
    let pcs = in_process(&emulator, 1);
    live(&pcs, &emulator).await;
    crate::life::compare(&emulator.calls());
}

#[tokio::test]
async fn the_same_life_over_a_port() {
    let emulator = emulator();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(emulator.clone().serve(listener, std::future::pending()));
    let http = aws_smithy_http_client::Builder::new().build_http();
    let pcs = Client::from_conf(config(1).http_client(http).endpoint_url(url).build());
    live(&pcs, &emulator).await;
    crate::life::compare(&emulator.calls());
    serving.abort();
}

async fn live(pcs: &Client, emulator: &Emulator) {
    let (cluster, arn) = the_cluster(pcs, emulator).await;
    let group = the_group(pcs, emulator, &cluster).await;
    let queue = the_queues(pcs, emulator, &group).await;
    the_updates(pcs, emulator, &cluster, &group, &queue).await;
    the_tags(pcs, &arn).await;
    the_end(pcs, emulator, &cluster, &group).await;
}

/// A cluster that is ACTIVE, as its id and ARN, and what is refused meanwhile.
async fn the_cluster(pcs: &Client, emulator: &Emulator) -> (String, String) {
    let accounting = AccountingRequest::builder().mode(AccountingMode::Standard);
    let create = |name: &str| {
        let scheduler = SchedulerRequest::builder()
            .r#type(SchedulerType::Slurm)
            .version("25.11");
        let networking = NetworkingRequest::builder().subnet_ids("subnet-0123456789abcdef0");
        let slurm =
            ClusterSlurmConfigurationRequest::builder().accounting(accounting.clone().build().unwrap());
        pcs.create_cluster()
            .cluster_name(name)
            .scheduler(scheduler.build().unwrap())
            .size(Size::Small)
            .networking(networking.build())
            .slurm_configuration(slurm.build())
    };
    let made = create("demo").tags("team", "hpc").send().await.unwrap();
    let made = made.cluster.unwrap();
    assert_eq!(made.status, ClusterStatus::Creating);

    let second = create("second").send().await.unwrap_err().into_service_error();
    assert!(second.is_service_quota_exceeded_exception(), "{second:?}");
    let early = pcs
        .create_queue()
        .cluster_identifier(&made.id)
        .queue_name("early");
    let early = early.send().await.unwrap_err().into_service_error();
    let aws_sdk_pcs::operation::create_queue::CreateQueueError::ConflictException(conflict) = early else {
        panic!("{early:?}")
    };
    assert_eq!(conflict.resource_id(), made.id);
    assert_eq!(conflict.resource_type(), "cluster");
    let unknown = pcs
        .get_cluster()
        .cluster_identifier("pcs_donotexist")
        .send()
        .await;
    let unknown = unknown.unwrap_err().into_service_error();
    assert!(unknown.is_access_denied_exception(), "{unknown:?}");
    assert!(unknown.message().unwrap().contains("pcs_donotexist"));

    emulator.advance(STEP);
    let shown = pcs.get_cluster().cluster_identifier("demo").send().await.unwrap();
    let shown = shown.cluster.unwrap();
    assert_eq!((shown.status, shown.size), (ClusterStatus::Active, Size::Small));
    assert_eq!(
        shown.endpoints.unwrap_or_default().len(),
        2,
        "SLURMCTLD and SLURMDBD"
    );
    (made.id, made.arn)
}

async fn the_group(pcs: &Client, emulator: &Emulator, cluster: &str) -> String {
    let create = |min: i32, max: i32| {
        let template = CustomLaunchTemplate::builder()
            .id("lt-0123456789abcdef0")
            .version("1");
        let scaling = ScalingConfigurationRequest::builder()
            .min_instance_count(min)
            .max_instance_count(max);
        pcs.create_compute_node_group()
            .cluster_identifier(cluster)
            .compute_node_group_name("nodes")
            .subnet_ids("subnet-0123456789abcdef0")
            .iam_instance_profile_arn(PROFILE)
            .scaling_configuration(scaling.build())
            .instance_configs(InstanceConfig::builder().instance_type("c6i.xlarge").build())
            .custom_launch_template(template.build().unwrap())
    };
    let error = create(3, 2).send().await.unwrap_err().into_service_error();
    let aws_sdk_pcs::operation::create_compute_node_group::CreateComputeNodeGroupError::ValidationException(
        invalid,
    ) = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(invalid.reason().as_str(), "fieldValidationFailed");
    assert_eq!(
        invalid.field_list().first().unwrap().name(),
        "scalingConfiguration.minInstanceCount"
    );
    let made = create(0, 2).send().await.unwrap().compute_node_group.unwrap();
    assert_eq!(made.status, ComputeNodeGroupStatus::Creating);
    emulator.advance(STEP);
    let shown = pcs
        .get_compute_node_group()
        .cluster_identifier(cluster)
        .compute_node_group_identifier("nodes");
    let shown = shown.send().await.unwrap().compute_node_group.unwrap();
    assert_eq!(shown.status, ComputeNodeGroupStatus::Active);
    made.id
}

/// Three queues, the first with the group; then all three lists, page by page.
async fn the_queues(pcs: &Client, emulator: &Emulator, group: &str) -> String {
    let create = |name: &str| pcs.create_queue().cluster_identifier("demo").queue_name(name);
    let configuration = ComputeNodeGroupConfiguration::builder().compute_node_group_id(group);
    let first = create("work0").compute_node_group_configurations(configuration.build());
    let first = first.send().await.unwrap().queue.unwrap();
    assert_eq!(first.status, QueueStatus::Creating);
    create("work1").send().await.unwrap();
    create("work2").send().await.unwrap();
    emulator.advance(STEP);

    let mut names = Vec::new();
    let queues = pcs.list_queues().cluster_identifier("demo").into_paginator();
    let mut queues = queues.page_size(2).items().send();
    while let Some(queue) = queues.next().await {
        names.push(queue.unwrap().name);
    }
    assert_eq!(names, ["work0", "work1", "work2"]);
    let groups = pcs.list_compute_node_groups().cluster_identifier("demo");
    let groups = groups.into_paginator().page_size(2).items().send();
    assert_eq!(groups.try_collect().await.unwrap().len(), 1);
    let clusters = pcs.list_clusters().into_paginator().page_size(2).items().send();
    assert_eq!(
        clusters.try_collect().await.unwrap().first().unwrap().name,
        "demo"
    );
    first.id
}

async fn the_updates(pcs: &Client, emulator: &Emulator, cluster: &str, group: &str, queue: &str) {
    let scaling = ScalingConfigurationRequest::builder()
        .min_instance_count(1)
        .max_instance_count(8);
    let update = pcs
        .update_compute_node_group()
        .cluster_identifier(cluster)
        .compute_node_group_identifier(group)
        .scaling_configuration(scaling.build())
        .ami_id("ami-0abc");
    let updated = update.send().await.unwrap().compute_node_group.unwrap();
    assert_eq!(updated.status, ComputeNodeGroupStatus::Updating);
    assert_eq!(updated.ami_id.as_deref(), Some("ami-0abc"));
    emulator.advance(STEP);

    let setting = SlurmCustomSetting::builder()
        .parameter_name("Default")
        .parameter_value("YES");
    let slurm =
        UpdateQueueSlurmConfigurationRequest::builder().slurm_custom_settings(setting.build().unwrap());
    let update = pcs
        .update_queue()
        .cluster_identifier(cluster)
        .queue_identifier(queue);
    let updated = update.slurm_configuration(slurm.build()).send().await.unwrap();
    assert_eq!(updated.queue.unwrap().status, QueueStatus::Updating);

    let update = || {
        let version = UpdateSchedulerRequest::builder()
            .version("26.05")
            .build()
            .unwrap();
        pcs.update_cluster()
            .cluster_identifier(cluster)
            .scheduler(version)
    };
    let busy = update().send().await.unwrap_err().into_service_error();
    assert!(busy.is_conflict_exception(), "{busy:?}");
    emulator.advance(STEP);
    let updated = update().send().await.unwrap().cluster.unwrap();
    assert_eq!(updated.status, ClusterStatus::Updating);
    emulator.advance(STEP);
    let shown = pcs
        .get_queue()
        .cluster_identifier("demo")
        .queue_identifier("work0");
    assert_eq!(
        shown.send().await.unwrap().queue.unwrap().status,
        QueueStatus::Active
    );
    let node = pcs
        .register_compute_node_group_instance()
        .cluster_identifier(cluster)
        .bootstrap_id("i-1");
    let node = node.send().await.unwrap();
    assert_eq!(node.node_id, "nodes-1");
    assert_eq!(node.scheduler_version.as_deref(), Some("26.05"));
}

async fn the_tags(pcs: &Client, arn: &str) {
    let tagged = pcs.tag_resource().resource_arn(arn).tags("cost", "42").send();
    tagged.await.unwrap();
    let untagged = pcs.untag_resource().resource_arn(arn).tag_keys("team").send();
    untagged.await.unwrap();
    let tags = pcs
        .list_tags_for_resource()
        .resource_arn(arn)
        .send()
        .await
        .unwrap();
    assert_eq!(tags.tags.unwrap(), [("cost".to_owned(), "42".to_owned())].into());
}

async fn the_end(pcs: &Client, emulator: &Emulator, cluster: &str, group: &str) {
    let full = pcs.delete_cluster().cluster_identifier(cluster).send().await;
    assert!(full.unwrap_err().into_service_error().is_conflict_exception());
    let delete_group = || {
        pcs.delete_compute_node_group()
            .cluster_identifier(cluster)
            .compute_node_group_identifier(group)
    };
    let used = delete_group().send().await.unwrap_err().into_service_error();
    assert!(used.is_conflict_exception(), "{used:?}");
    let nobody = pcs
        .get_queue()
        .cluster_identifier("demo")
        .queue_identifier("nobody");
    let nobody = nobody.send().await.unwrap_err().into_service_error();
    assert!(nobody.is_resource_not_found_exception(), "{nobody:?}");

    for name in ["work0", "work1", "work2"] {
        let delete = pcs
            .delete_queue()
            .cluster_identifier("demo")
            .queue_identifier(name);
        delete.send().await.unwrap();
    }
    emulator.advance(STEP);
    delete_group().send().await.unwrap();
    emulator.advance(STEP);
    pcs.delete_cluster()
        .cluster_identifier("demo")
        .send()
        .await
        .unwrap();
    emulator.advance(STEP);
    let clusters = pcs.list_clusters().into_paginator().page_size(2).items().send();
    assert!(clusters.try_collect().await.unwrap().is_empty());
    let gone = pcs.get_cluster().cluster_identifier(cluster).send().await;
    let gone = gone.unwrap_err().into_service_error();
    assert!(gone.is_resource_not_found_exception(), "{gone:?}");
}

fn fault(action: &str, times: u32, effect: Effect) -> Fault {
    Fault {
        action: Some(action.to_owned()),
        times,
        effect,
    }
}

#[tokio::test]
async fn the_sdk_retries_what_it_may() {
    let emulator = emulator();
    let pcs = in_process(&emulator, 3);
    let unavailable = Effect::Error {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: "InternalServerException".into(),
        message: "try again".into(),
    };
    for effect in [Effect::Throttle, unavailable, Effect::DropBefore] {
        emulator.clear_calls();
        emulator.inject(fault("ListClusters", 1, effect));
        pcs.list_clusters().send().await.unwrap();
        assert_eq!(emulator.calls().len(), 2, "one retry");
    }
    emulator.inject(fault("ListClusters", 3, Effect::Throttle));
    let error = pcs.list_clusters().send().await.unwrap_err();
    assert_eq!(error.code(), Some("ThrottlingException"));
    assert!(error.into_service_error().is_throttling_exception());
}

#[tokio::test]
async fn a_dropped_connection_is_a_connector_error() {
    let emulator = emulator();
    emulator.inject(fault("ListClusters", 1, Effect::DropAfter));
    let error = in_process(&emulator, 1).list_clusters().send().await.unwrap_err();
    let SdkError::DispatchFailure(failure) = error else {
        panic!("{error:?}")
    };
    assert!(failure.is_io());
}

#[tokio::test]
async fn the_sdk_signs_what_the_emulator_verifies() {
    let emulator = |secret: &str| {
        let keys = [("AKIAIOSFODNN7EXAMPLE", secret)];
        Emulator::new(Options {
            credentials: Some(keys.into_iter().collect()),
            record: record(),
            ..Options::default()
        })
        .unwrap()
    };
    let pcs = in_process(&emulator("secret"), 1);
    pcs.list_clusters().max_results(3).send().await.unwrap();
    let pcs = in_process(&emulator("another secret"), 1);
    let error = pcs.list_clusters().send().await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidSignatureException"));
}

#[tokio::test(start_paused = true)]
async fn delays_are_waited_for_until_the_client_loses_patience() {
    let emulator = emulator();
    let patience = TimeoutConfig::builder()
        .read_timeout(Duration::from_secs(5))
        .build();
    let config = config(1)
        .http_client(emulator.http_client())
        .timeout_config(patience);
    let pcs = Client::from_conf(config.build());
    let order = |seconds| {
        let delay = Effect::Delay(Duration::from_secs(seconds));
        emulator.inject(fault("ListClusters", 1, delay));
    };
    // The runtime's clock stands still but for sleeps: what passes on it is what was waited.
    let begun = tokio::time::Instant::now();
    order(4);
    pcs.list_clusters().send().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(4));
    order(6);
    let error = pcs.list_clusters().send().await.unwrap_err();
    assert!(
        matches!(&error, SdkError::DispatchFailure(failure) if failure.is_timeout()),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_members_of_an_ordered_error_are_there() {
    let emulator = emulator();
    let pcs = in_process(&emulator, 1);
    let conflict = Effect::Error {
        status: StatusCode::CONFLICT,
        code: "ConflictException".into(),
        message: "busy".into(),
    };
    emulator.inject(fault("GetCluster", 1, conflict));
    let error = pcs.get_cluster().cluster_identifier("demo").send().await;
    let error = error.unwrap_err().into_service_error();
    let aws_sdk_pcs::operation::get_cluster::GetClusterError::ConflictException(conflict) = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (conflict.resource_id(), conflict.resource_type()),
        ("demo", "cluster")
    );
    assert_eq!(conflict.message(), "busy");
    let recorded: Vec<Value> = emulator.calls().into_iter().map(|call| call.body).collect();
    assert_eq!(recorded, [json!({"clusterIdentifier": "demo"})]);
}
