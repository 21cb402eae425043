//! The SDK clients: one connector for all, each client built when the first call needs it.
//!
//! Region, credentials and endpoints come from the configuration; `aws-config` and its chain are not here. One
//! shared HTTP client means one connection pool and one reading of the trusted certificates. Timeouts are the
//! clients'; the caller's deadline is applied by whoever calls.

mod connections;

use std::{sync::OnceLock, time::Duration};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_http_client::{
    Builder,
    tls::{self, TlsContext, TrustStore},
};
use aws_smithy_runtime_api::client::{behavior_version::BehaviorVersion, http::SharedHttpClient};
use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use aws_types::{SdkConfig, region::Region};

use self::connections::Connections;
use crate::{
    config::{AwsConfig, Trust},
    iam::whole_answers::WholeAnswers,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection may die while the environment is frozen between calls. One that is known to be old is not used at all;
/// what happens when a younger one is dead says `connections.rs`.
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

    /// Builds PCS's client, if this is the environment's first call, while another service has its turn: the SDK reads
    /// its list of partitions for that, 4 percent of the first answer's instructions. To be awaited beside the first
    /// request to that service; it waits until that has begun: one turn for the connection, one for TLS's first message.
    pub async fn prepare_pcs(&self) {
        if self.pcs.get().is_some() {
            return;
        }
        for _ in 0..2 {
            tokio::task::yield_now().await;
        }
        self.pcs();
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
            .use_fips(self.config.fips)
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
        self.http.get_or_init(|| trusting(self.config.trust))
    }
}

/// The connector, with the system's trust store (`SSL_CERT_FILE` is honoured).
pub fn http_client() -> SharedHttpClient {
    trusting(Trust::System)
}

/// HTTP/1.1 and, for `https` endpoints only, rustls on ring. The trusted certificates are read when the first call
/// is made, whatever its endpoint.
pub fn trusting(trust: Trust) -> SharedHttpClient {
    SharedHttpClient::new(Connections::new(move || pool(trust)))
}

/// A connector with a pool of its own.
fn pool(trust: Trust) -> SharedHttpClient {
    let http = Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .pool_idle_timeout(POOL_IDLE);
    let amazon = match trust {
        Trust::System => None,
        Trust::Amazon => amazon_roots(),
    };
    match amazon {
        Some(context) => http.tls_context(context).build_https(),
        None => http.build_https(),
    }
}

/// The roots that AWS asks its clients to trust, from <https://www.amazontrust.com/repository/>. Reading these five
/// takes a twentieth of the time that the hundred and forty of a distribution take, in every first call; they end
/// between 2037 and 2040. `None` cannot happen, and then the system's are taken.
fn amazon_roots() -> Option<TlsContext> {
    let store = AMAZON_ROOTS.iter().fold(TrustStore::empty(), |store, root| {
        store.with_pem_certificate(*root)
    });
    TlsContext::builder().with_trust_store(store).build().ok()
}

const AMAZON_ROOTS: [&str; 5] = [
    include_str!("aws/AmazonRootCA1.pem"),
    include_str!("aws/AmazonRootCA2.pem"),
    include_str!("aws/AmazonRootCA3.pem"),
    include_str!("aws/AmazonRootCA4.pem"),
    include_str!("aws/SFSRootCAG2.pem"),
];

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use sha2::{Digest, Sha256};

    use super::*;

    /// Expected values: the SHA-256 fingerprints in Mozilla's list of included certificates (CCADB).
    #[test]
    fn the_roots_are_amazons() {
        let expected = [
            "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
            "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
            "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
            "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
            "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",
        ];
        for (pem, expected) in AMAZON_ROOTS.iter().zip(expected) {
            let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
            let der = BASE64_STANDARD.decode(base64).unwrap();
            assert_eq!(crate::hex(&Sha256::digest(der)), expected);
        }
        assert!(amazon_roots().is_some());
    }
}
