//! Connections that died while nobody looked, each in its way: what is asked next goes through, and acts once.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::world::{World, event, gateway, invoke, with_body, with_query};

/// How the connections of a proxy end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The peer says goodbye.
    Fin,
    /// The peer resets.
    Rst,
    /// The peer is gone and says so only when it is asked something.
    RstWhenAsked,
    /// Nothing comes back, ever.
    BlackHole,
}

/// Stands between the gateway and a service.
struct Proxy {
    url: String,
    /// Told to the connections there are; those that come later live.
    end: Arc<Mutex<watch::Sender<Option<End>>>>,
    alive: Arc<AtomicUsize>,
    /// How many connections were asked something after they had died.
    asked: Arc<AtomicUsize>,
}

impl Proxy {
    async fn before(service: &str) -> Proxy {
        let service = service.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let end = Arc::new(Mutex::new(watch::channel(None).0));
        let alive = Arc::new(AtomicUsize::new(0));
        let asked = Arc::new(AtomicUsize::new(0));
        let (ends, count, dead) = (Arc::clone(&end), Arc::clone(&alive), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let end = ends.lock().unwrap().subscribe();
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(carry(client, service.clone(), end, Arc::clone(&dead)));
            }
        });
        Proxy {
            url,
            end,
            alive,
            asked,
        }
    }

    /// Ends all connections so; returns how many there were.
    fn end_all(&self, end: End) -> usize {
        let mut current = self.end.lock().unwrap();
        current.send_replace(Some(end));
        *current = watch::channel(None).0;
        self.alive.swap(0, Ordering::Relaxed)
    }
}

async fn carry(
    mut client: TcpStream,
    service: String,
    mut end: watch::Receiver<Option<End>>,
    dead: Arc<AtomicUsize>,
) {
    let mut server = TcpStream::connect(&service).await.unwrap();
    let end = tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => return,
        end = end.wait_for(Option::is_some) => end.ok().and_then(|end| *end),
    };
    drop(server);
    let mut asked = [0; 1024];
    if matches!(end, Some(End::RstWhenAsked | End::BlackHole)) {
        let read = client.read(&mut asked).await.unwrap_or_default();
        dead.fetch_add(usize::from(read > 0), Ordering::Relaxed);
    }
    match end {
        None | Some(End::Fin) => {}
        Some(End::Rst | End::RstWhenAsked) => client.set_zero_linger().unwrap(),
        Some(End::BlackHole) => while client.read(&mut asked).await.is_ok_and(|read| read > 0) {},
    }
}

const SERVICES: [&str; 3] = ["IAM", "PCS", "DYNAMODB"];

async fn proxies(world: &World) -> Vec<Proxy> {
    let urls = [&world.stack.iam, &world.stack.pcs, &world.stack.dynamodb];
    let mut proxies = Vec::new();
    for url in urls {
        proxies.push(Proxy::before(url).await);
    }
    proxies
}

fn create(name: &str) -> Value {
    with_body(
        event("create-compute-node-group"),
        json!({"computeNodeGroupName": name, "clientToken": null}),
    )
}

/// All connections die at once: those to IAM are three, because three things are asked of it at the same time.
#[tokio::test]
async fn a_call_after_all_connections_died_goes_through() {
    for end in [End::Fin, End::Rst, End::RstWhenAsked, End::BlackHole] {
        let world = World::start().await;
        world.cluster().await;
        let proxies = proxies(&world).await;
        let mut variables = world.stack.variables().clone();
        for (service, proxy) in SERVICES.iter().zip(&proxies) {
            variables.insert(format!("AWS_ENDPOINT_URL_{service}"), proxy.url.clone());
        }
        let gateway = gateway(&variables);
        let before = invoke(&gateway, &create("before"), Duration::from_secs(28)).await;
        assert_eq!(before.status, 202, "{end:?}: {before:?}");
        world.settle();
        let ended: Vec<usize> = proxies.iter().map(|proxy| proxy.end_all(end)).collect();
        assert!(ended[0] >= 3 && ended[1] >= 1 && ended[2] >= 1, "{ended:?}");

        let after = invoke(&gateway, &create("after"), Duration::from_secs(28)).await;
        assert_eq!(after.status, 202, "{end:?}: {after:?}");
        // What is asked of several services at the same time can meet a dead connection of each.
        let asked = proxies
            .iter()
            .map(|proxy| proxy.asked.load(Ordering::Relaxed))
            .sum::<usize>();
        assert!(
            asked <= SERVICES.len(),
            "{end:?}: {asked} dead connections were asked"
        );
        world.settle();
        let listed = world.send(&event("list-compute-node-groups")).await;
        let groups = listed.body["computeNodeGroups"].as_array().unwrap().len();
        assert_eq!(groups, 2, "{end:?}: each acted once");
    }
}

/// One service's connections die, the others live: no attempt is spent on the next dead one.
#[tokio::test]
async fn dead_connections_to_one_service_cost_one_attempt() {
    for end in [End::RstWhenAsked, End::BlackHole] {
        for index in 0..SERVICES.len() {
            let world = World::start().await;
            world.cluster().await;
            let proxies = proxies(&world).await;
            let mut variables = world.stack.variables().clone();
            variables.insert(
                format!("AWS_ENDPOINT_URL_{}", SERVICES[index]),
                proxies[index].url.clone(),
            );
            let gateway = gateway(&variables);
            let dry = with_query(create("dry"), &[("dryrun", "true")]);
            for _ in 0..2 {
                assert_eq!(invoke(&gateway, &dry, Duration::from_secs(28)).await.status, 412);
            }
            proxies[index].end_all(end);
            let after = invoke(&gateway, &dry, Duration::from_secs(28)).await;
            assert_eq!(after.status, 412, "{} {end:?}: {after:?}", SERVICES[index]);
            let asked = proxies[index].asked.load(Ordering::Relaxed);
            assert!(
                asked <= 1,
                "{} {end:?}: {asked} dead connections were asked",
                SERVICES[index]
            );
        }
    }
}
