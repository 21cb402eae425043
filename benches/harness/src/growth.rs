//! How the cost of a call grows with what it has to do with; each must be linear or better.

use bytes::Bytes;
use iam_emulator::{InstanceProfile, Policy, Role, Seed};
use serde_json::{Map, Value, json};

use crate::{
    Options, Outcome,
    measure::{self, Contestant},
    plot::{Panel, Series},
    programs::Paths,
    report::{Report, figure},
    runtime_api::Function,
    world::{World, bytes, cluster_input, node_group_input, with_body},
};

/// A question and the calls that answer it, each with its x.
struct Growth {
    name: &'static str,
    unit: &'static str,
    points: Vec<(f64, Contestant)>,
}

pub async fn run(
    paths: &Paths,
    options: &Options,
    world: &World,
    report: &mut Report,
) -> Outcome<Vec<Panel>> {
    let all = [
        node_groups(paths, world)?,
        pages(paths, world).await?,
        attached(paths, world)?,
        inline(paths, world)?,
        patterns(paths, world)?,
        tags(paths, world)?,
        body(paths, world)?,
    ];
    let mut panels = Vec::new();
    let mut rows = Vec::new();
    for growth in all {
        let contestants: Vec<Contestant> = growth
            .points
            .iter()
            .map(|(_, contestant)| contestant.clone())
            .collect();
        let warm = measure::warm(&contestants, options.calls / 4).await?;
        let xs: Vec<f64> = growth.points.iter().map(|(x, _)| *x).collect();
        let of = |value: &dyn Fn(&measure::Warm) -> f64| -> Vec<(f64, f64)> {
            xs.iter().copied().zip(warm.iter().map(value)).collect()
        };
        let took = of(&|warm| warm.took.median());
        let cpu = of(&|warm| warm.cpu);
        for ((x, took), (_, cpu)) in took.iter().zip(&cpu) {
            rows.push(vec![
                growth.name.to_owned(),
                format!("{x}"),
                figure(*took),
                figure(*cpu),
            ]);
        }
        rows.push(vec![
            format!("  {}", verdict(&took)),
            String::new(),
            String::new(),
            String::new(),
        ]);
        panels.push(Panel {
            title: growth.name.to_owned(),
            unit: growth.unit.to_owned(),
            series: vec![
                Series {
                    name: "p50",
                    points: took,
                },
                Series {
                    name: "CPU",
                    points: cpu,
                },
            ],
        });
    }
    report.heading("Growth: cost of a call against what it has to do with");
    report.table("growth", &["", "x", "p50 us", "CPU us"], &rows);
    Ok(panels)
}

/// How steep the second half of the curve is beside the first: 1 is a line, less is better than one. Points that differ
/// by less than a tenth are a constant.
fn verdict(points: &[(f64, f64)]) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return String::new();
    };
    let half = first.0.midpoint(last.0);
    let from_half = |point: &&(f64, f64)| (point.0 - half).abs();
    let between = points.iter().skip(1).rev().skip(1);
    let middle = between.min_by(|one, other| from_half(one).total_cmp(&from_half(other)));
    let slope = |from: &(f64, f64), to: &(f64, f64)| (to.1 - from.1) / (to.0 - from.0);
    match middle {
        Some(middle) if last.1 > first.1 * 1.1 => {
            let bend = slope(middle, last) / slope(first, middle);
            format!("second half {bend:.2} times as steep as the first")
        }
        _ => "grows by less than a tenth".to_owned(),
    }
}

fn at(x: usize) -> f64 {
    f64::from(u32::try_from(x).unwrap_or(u32::MAX))
}

fn gateway(paths: &Paths, world: &World, event: Bytes, status: i64) -> Contestant {
    Contestant {
        program: paths.gateway(&world.plain),
        event,
        status,
    }
}

fn list_event(world: &World, cluster: &str, query: &[(&str, &str)]) -> Outcome<Bytes> {
    let mut event = world.event("list-compute-node-groups")?;
    let one: Map<String, Value> = query
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    let many: Map<String, Value> = query
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!([value])))
        .collect();
    let members = event.as_object_mut().ok_or("not an event")?;
    let path = format!("/v1/clusters/{cluster}/compute-node-groups");
    members.insert("path".to_owned(), path.into());
    members.insert("pathParameters".to_owned(), json!({"clusterIdentifier": cluster}));
    members.insert("queryStringParameters".to_owned(), Value::Object(one));
    members.insert("multiValueQueryStringParameters".to_owned(), Value::Object(many));
    Ok(bytes(&event))
}

/// A cluster with this many groups.
fn cluster(world: &World, groups: usize) -> Outcome<String> {
    let name = format!("grow-{groups}");
    world.pcs("CreateCluster", &cluster_input(&name))?;
    for group in 0..groups {
        world.pcs(
            "CreateComputeNodeGroup",
            &node_group_input(&name, &format!("group-{group}")),
        )?;
    }
    Ok(name)
}

fn node_groups(paths: &Paths, world: &World) -> Outcome<Growth> {
    let mut points = Vec::new();
    for groups in [0, 10, 25, 50, 75, 100] {
        let name = cluster(world, groups)?;
        let event = list_event(world, &name, &[("maxResults", "100")])?;
        points.push((at(groups), gateway(paths, world, event, 200)));
    }
    Ok(Growth {
        name: "list: node groups in one answer",
        unit: "node groups",
        points,
    })
}

async fn pages(paths: &Paths, world: &World) -> Outcome<Growth> {
    let name = "grow-100";
    let mut function = Function::start(&paths.gateway(&world.plain), None).await?;
    let mut points = Vec::new();
    let mut token: Option<String> = None;
    for page in 1..=10 {
        let mut query = vec![("maxResults", "10")];
        if let Some(token) = &token {
            query.push(("nextToken", token));
        }
        let event = list_event(world, name, &query)?;
        let answer = function.invoke_for(&event, 200).await?;
        let body = answer.body.get("body").and_then(Value::as_str);
        let body: Value = serde_json::from_str(body.unwrap_or_default())?;
        let next = body.get("nextToken").and_then(Value::as_str);
        token = next.map(str::to_owned);
        points.push((at(page), gateway(paths, world, event, 200)));
        if token.is_none() {
            break;
        }
    }
    Ok(Growth {
        name: "list: which page of ten node groups",
        unit: "page",
        points,
    })
}

/// A create with a profile of its own, and the event for it.
fn create_with(world: &World, role: Role) -> Outcome<Bytes> {
    let name = role.name.clone();
    let profile = InstanceProfile::new(name.clone()).role(name.clone());
    let iam = &world.upstreams.iam;
    iam.seed(Seed::new().role(role).instance_profile(profile))
        .map_err(|error| error.to_string())?;
    let event = world.event("create-compute-node-group")?;
    with_body(
        &event,
        &json!({
            "computeNodeGroupName": name,
            "iamInstanceProfileArn": format!("arn:aws:iam::123456789012:instance-profile/{name}"),
            "clientToken": format!("token-of-{name}"),
        }),
    )
}

fn attached(paths: &Paths, world: &World) -> Outcome<Growth> {
    let document = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}});
    let mut points = Vec::new();
    for policies in [1, 5, 10, 15, 20] {
        let mut role = Role::new(format!("AWSPCS-a{policies}"));
        for policy in 0..policies {
            let arn = format!("arn:aws:iam::123456789012:policy/AWSPCS-grow-{policy:02}");
            let seed = Seed::new().policy(Policy::new(arn.clone(), document.clone()));
            // The policies of a smaller role are there already.
            let _ = world.upstreams.iam.seed(seed);
            role = role.attach(arn);
        }
        let event = create_with(world, role)?;
        points.push((at(policies), gateway(paths, world, event, 202)));
    }
    Ok(Growth {
        name: "create: managed policies on the role",
        unit: "policies",
        points,
    })
}

fn inline(paths: &Paths, world: &World) -> Outcome<Growth> {
    let action = "pcs:RegisterComputeNodeGroupInstance";
    let document =
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": action, "Resource": "*"}});
    let mut points = Vec::new();
    for policies in [0, 4, 8, 16, 32] {
        let mut role = Role::new(format!("AWSPCS-i{policies}"))
            .attach("arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy");
        for policy in 0..policies {
            role = role.inline(format!("inline-{policy:02}"), document.clone());
        }
        let event = create_with(world, role)?;
        points.push((at(policies), gateway(paths, world, event, 202)));
    }
    Ok(Growth {
        name: "create: inline policies on the role (an IAM call each)",
        unit: "policies",
        points,
    })
}

/// The policy that the role has is allowed by the last pattern.
fn patterns(paths: &Paths, world: &World) -> Outcome<Growth> {
    let event = bytes(&world.event("create-compute-node-group")?);
    let mut points = Vec::new();
    // Lambda's environment holds 4 KiB in all, so more than this does not fit.
    for patterns in [1, 10, 20, 40, 60] {
        let others = (1..patterns).map(|pattern| format!("arn:aws:iam::aws:policy/Other{pattern:02}*"));
        let last = "arn:aws:iam::aws:policy/AWSPCSComputeNodePolicy".to_owned();
        let patterns_given: Vec<String> = others.chain(std::iter::once(last)).collect();
        let contestant = gateway(paths, world, event.clone(), 202);
        let program = contestant
            .program
            .with("PCS_API_ADDITIONAL_IAM_POLICIES", &patterns_given.join(","));
        points.push((
            at(patterns),
            Contestant {
                program,
                ..contestant
            },
        ));
    }
    Ok(Growth {
        name: "create: patterns in the allowlist",
        unit: "patterns",
        points,
    })
}

fn tags(paths: &Paths, world: &World) -> Outcome<Growth> {
    let event = world.event("create-compute-node-group")?;
    let mut points = Vec::new();
    for tags in [1, 10, 20, 30, 40, 50] {
        let all: Map<String, Value> = (0..tags)
            .map(|tag| (format!("cost-centre-{tag:02}"), json!("research and development")))
            .collect();
        let name = format!("tags-{tags}");
        let changes =
            json!({"tags": all, "computeNodeGroupName": name, "clientToken": format!("token-of-{name}")});
        points.push((at(tags), gateway(paths, world, with_body(&event, &changes)?, 202)));
    }
    Ok(Growth {
        name: "create: tags",
        unit: "tags",
        points,
    })
}

/// A body that is parsed in full and refused: every size can be had, up to the limit of a mebibyte.
fn body(paths: &Paths, world: &World) -> Outcome<Growth> {
    let event = world.event("create-cluster")?;
    let mut points = Vec::new();
    for kib in [1, 64, 128, 256, 512, 1000] {
        let strings = vec!["0123456789 abcdef"; kib * 1024 / 20];
        let event = with_body(&event, &json!({ "colour": strings }))?;
        points.push((at(kib), gateway(paths, world, event, 400)));
    }
    Ok(Growth {
        name: "400: KiB of body",
        unit: "KiB",
        points,
    })
}
