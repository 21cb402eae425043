//! The one table of actions: what each checks beyond its input shape, and who carries it out.

use serde_json::{Map, Value};

use crate::action::Action;
use crate::context::Context;
use crate::error::{Error, FieldErrors};
use crate::state::{Kind, Region};
use crate::{clusters, node_groups, queues, register, tags, tokens, validate};

/// The input cut to what the model knows, or every field error at once.
pub(crate) fn checked(
    cx: &Context<'_>,
    action: Action,
    body: &Map<String, Value>,
) -> Result<Map<String, Value>, Error> {
    let mut errors = FieldErrors::default();
    let mut body = body.clone();
    let lists = matches!(
        action,
        Action::ListClusters | Action::ListComputeNodeGroups | Action::ListQueues
    );
    if lists && body.get("maxResults").and_then(Value::as_i64) == Some(0) {
        // "A value of 0 uses the default" (API Reference), though the shape's minimum is 1.
        body.remove("maxResults");
    }
    let input = validate::input(cx.model, action.name(), &body, &mut errors);
    tags::check_request(&input, &mut errors);
    match action {
        Action::CreateCluster => clusters::check_create(cx, &input, &mut errors),
        Action::CreateComputeNodeGroup => node_groups::check_create(&input, &mut errors),
        Action::UpdateComputeNodeGroup => node_groups::check_request(&input, &mut errors),
        Action::CreateQueue | Action::UpdateQueue => queues::check_request(&input, &mut errors),
        Action::GetCluster
        | Action::ListClusters
        | Action::UpdateCluster
        | Action::DeleteCluster
        | Action::GetComputeNodeGroup
        | Action::ListComputeNodeGroups
        | Action::DeleteComputeNodeGroup
        | Action::GetQueue
        | Action::ListQueues
        | Action::DeleteQueue
        | Action::ListTagsForResource
        | Action::TagResource
        | Action::UntagResource
        | Action::RegisterComputeNodeGroupInstance => {}
    }
    errors.into_result()?;
    Ok(input)
}

/// Carries a checked call out on one Region's state.
pub(crate) fn apply(
    cx: &Context<'_>,
    region: &mut Region,
    action: Action,
    input: &Map<String, Value>,
    page_key: &str,
) -> Result<Value, Error> {
    let children = |region: &Region, kind| {
        let cluster = cx.cluster(region, input)?;
        tokens::list(cx, region, kind, Some(&cluster.id), input, page_key)
    };
    match action {
        Action::CreateCluster => clusters::create(cx, region, input),
        Action::GetCluster => clusters::get(cx, region, input),
        Action::ListClusters => tokens::list(cx, region, Kind::Cluster, None, input, page_key),
        Action::UpdateCluster => clusters::update(cx, region, input),
        Action::DeleteCluster => clusters::delete(cx, region, input),
        Action::CreateComputeNodeGroup => node_groups::create(cx, region, input),
        Action::GetComputeNodeGroup => node_groups::get(cx, region, input),
        Action::ListComputeNodeGroups => children(region, Kind::ComputeNodeGroup),
        Action::UpdateComputeNodeGroup => node_groups::update(cx, region, input),
        Action::DeleteComputeNodeGroup => node_groups::delete(cx, region, input),
        Action::CreateQueue => queues::create(cx, region, input),
        Action::GetQueue => queues::get(cx, region, input),
        Action::ListQueues => children(region, Kind::Queue),
        Action::UpdateQueue => queues::update(cx, region, input),
        Action::DeleteQueue => queues::delete(cx, region, input),
        Action::ListTagsForResource => tags::list(region, input),
        Action::TagResource => tags::tag(cx, region, input),
        Action::UntagResource => tags::untag(region, input),
        Action::RegisterComputeNodeGroupInstance => register::register(cx, region, input),
    }
}
