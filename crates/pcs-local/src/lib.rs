//! API Gateway's part, on a laptop: everything that happens to a request before the function sees it.
//!
//! A REST API with IAM authorization matches the route, verifies the caller's signature, asks the resource
//! policy and hands the function a proxy event; or it answers itself, and the function never hears of the
//! request. `ApiGateway::admit` is that path. What it cannot do is evaluate the caller's own IAM policies:
//! here, whoever holds a known key and passes the resource policy may invoke every method.

pub mod api_gateway;
mod audit_table;
pub mod contract;
pub mod credentials;
mod data_dir;
mod dynamodb;
pub mod environment;
pub mod gateway_response;
pub mod hello;
mod page;
pub mod past;
pub mod proxy_event;
pub mod request;
pub mod resource_policy;
pub mod schedule;
pub mod seed;
mod server;
pub mod sigv4;
pub mod stack;
pub mod start_error;
