//! The floor: what a Rust function costs that does nothing. Its start and its answer are what every figure of the
//! gateway is divided by.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

// As the gateway is run.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(|_: LambdaEvent<Value>| async {
        Ok::<_, Error>(json!({"statusCode": 200, "body": "hello"}))
    }))
    .await
}
