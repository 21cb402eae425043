//! The SDK clients: one connector for all, each client built when the first call needs it.
//!
//! Region, credentials and endpoints come from the configuration; `aws-config` and its chain are not here. One
//! shared HTTP client means one connection pool and one reading of the trust store (which only an `https` endpoint
//! causes). Timeouts are the clients'; the caller's deadline is applied by whoever calls.

use std::{sync::OnceLock, time::Duration};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_http_client::{Builder, tls};
use aws_smithy_runtime_api::client::{behavior_version::BehaviorVersion, http::SharedHttpClient};
use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use aws_types::{SdkConfig, region::Region};

use crate::{config::AwsConfig, iam::whole_answers::WholeAnswers};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection may die while the environment is frozen between calls. The SDK retries on the next one, but a
/// connection known to be old is better not used at all.
const POOL_IDLE: Duration = Duration::from_secs(20);
const RETRY_BACKOFF: Duration = Duration::from_millis(100);
const RETRY_BACKOFF_MAX: Duration = Duration::from_secs(2);

/// How patient a client is.
struct Patience {
    attempts: u32,
    attempt: Duration,
}

const PCS: Patience = Patience {
    attempts: 3,
    attempt: Duration::from_secs(8),
};
const IAM: Patience = Patience {
    attempts: 3,
    attempt: Duration::from_secs(2),
};
/// An audit table that does not answer must refuse the call within 3 s.
const DYNAMODB: Patience = Patience {
    attempts: 2,
    attempt: Duration::from_secs(1),
};
const KMS: Patience = Patience {
    attempts: 3,
    attempt: Duration::from_secs(2),
};

/// The clients of one execution environment.
#[derive(Debug)]
pub struct Clients {
    config: AwsConfig,
    http: OnceLock<SharedHttpClient>,
    pcs: OnceLock<aws_sdk_pcs::Client>,
    iam: OnceLock<aws_sdk_iam::Client>,
    dynamodb: OnceLock<aws_sdk_dynamodb::Client>,
    kms: OnceLock<aws_sdk_kms::Client>,
}

impl Clients {
    pub fn new(config: AwsConfig) -> Clients {
        Clients::over(config, OnceLock::new())
    }

    /// With another connector than [`http_client`], if `http` holds one: what goes wrong on the wire can then be
    /// staged without replacing anything above it.
    pub fn over(config: AwsConfig, http: OnceLock<SharedHttpClient>) -> Clients {
        Clients {
            config,
            http,
            pcs: OnceLock::new(),
            iam: OnceLock::new(),
            dynamodb: OnceLock::new(),
            kms: OnceLock::new(),
        }
    }

    pub fn pcs(&self) -> &aws_sdk_pcs::Client {
        self.pcs.get_or_init(|| {
            let shared = self.shared(&PCS);
            let mut builder = aws_sdk_pcs::config::Builder::from(&shared);
            builder.set_endpoint_url(self.config.pcs_endpoint.clone());
            aws_sdk_pcs::Client::from_conf(builder.build())
        })
    }

    pub fn iam(&self) -> &aws_sdk_iam::Client {
        self.iam.get_or_init(|| {
            let shared = self.shared(&IAM);
            let mut builder = aws_sdk_iam::config::Builder::from(&shared);
            builder.set_endpoint_url(self.config.iam_endpoint.clone());
            builder = builder.interceptor(WholeAnswers);
            aws_sdk_iam::Client::from_conf(builder.build())
        })
    }

    pub fn dynamodb(&self) -> &aws_sdk_dynamodb::Client {
        self.dynamodb.get_or_init(|| {
            let shared = self.shared(&DYNAMODB);
            let mut builder = aws_sdk_dynamodb::config::Builder::from(&shared);
            builder.set_endpoint_url(self.config.dynamodb_endpoint.clone());
            aws_sdk_dynamodb::Client::from_conf(builder.build())
        })
    }

    pub fn kms(&self) -> &aws_sdk_kms::Client {
        self.kms.get_or_init(|| {
            let shared = self.shared(&KMS);
            let mut builder = aws_sdk_kms::config::Builder::from(&shared);
            builder.set_endpoint_url(self.config.kms_endpoint.clone());
            aws_sdk_kms::Client::from_conf(builder.build())
        })
    }

    fn shared(&self, patience: &Patience) -> SdkConfig {
        let credentials = Credentials::new(
            self.config.access_key_id.clone(),
            self.config.secret_access_key.clone(),
            self.config.session_token.clone(),
            None,
            "environment",
        );
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.config.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(self.http().clone())
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(patience.attempts)
                    .with_initial_backoff(RETRY_BACKOFF)
                    .with_max_backoff(RETRY_BACKOFF_MAX),
            )
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .operation_attempt_timeout(patience.attempt)
                    .build(),
            )
            .build()
    }

    fn http(&self) -> &SharedHttpClient {
        self.http.get_or_init(http_client)
    }
}

/// The connector: HTTP/1.1 and, for `https` endpoints only, rustls on ring with the system's trust store
/// (`SSL_CERT_FILE` is honoured).
pub fn http_client() -> SharedHttpClient {
    Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .pool_idle_timeout(POOL_IDLE)
        .build_https()
}
