//! What a request's members may hold beyond their schemas, and that everything wrong with them is told at once.

use serde_json::json;

use crate::{
    answers::refused,
    world::{World, event, with_body},
};

/// A dry run is worth as much as what is checked before PCS: what PCS refuses for certain is told here.
#[tokio::test]
async fn a_dry_run_tells_of_reserved_keys_and_crossed_bounds() {
    let world = World::start().await;
    for (name, change, words) in [
        (
            "create-cluster",
            json!({"tags": {"aws:team": "x"}}),
            "`tags.aws:team` begins with `aws:`",
        ),
        (
            "create-queue",
            json!({"tags": {"AWS:": "x"}}),
            "`tags.AWS:` begins with `aws:`",
        ),
        (
            "tag-resource",
            json!({"tags": {"Aws:x": "x", "aws": "fine"}}),
            "`tags.Aws:x` begins with `aws:`",
        ),
        (
            "create-compute-node-group",
            json!({"scalingConfiguration": {"minInstanceCount": 3, "maxInstanceCount": 2}}),
            "`scalingConfiguration.minInstanceCount` must not be above `maxInstanceCount`",
        ),
        (
            "update-compute-node-group",
            json!({"scalingConfiguration": {"minInstanceCount": 1, "maxInstanceCount": 0}}),
            "`scalingConfiguration.minInstanceCount` must not be above `maxInstanceCount`",
        ),
    ] {
        let message = refused(&world, &with_body(event(name), change.clone()), 400).await;
        assert!(message.contains(words), "{name} {change}: {message}");
    }
}

#[tokio::test]
async fn bounds_that_meet_and_keys_that_only_look_reserved_pass() {
    let world = World::start().await;
    let keys = json!({"aws": "x", "awsteam": "x", "x:aws:": "x", "äws:": "x", "é": "x"});
    let create = with_body(event("create-cluster"), json!({"tags": keys}));
    let answer = world.send(&create).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    world.settle();
    let equal = json!({"scalingConfiguration": {"minInstanceCount": 2, "maxInstanceCount": 2}});
    let answer = world
        .send(&with_body(event("create-compute-node-group"), equal))
        .await;
    assert_ne!(answer.status, 400, "{answer:?}");
}
