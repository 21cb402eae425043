//! Who is who: every kind of identity that API Gateway passes on, and that no two principals share anything that is
//! kept by principal: the token that PCS is sent, the key that the audit finds calls by, the tokens of its pages.

use pcs_api::{
    audit::record::row::principal_key, config::Deployment, operations::Action, principal::Principal,
    request::ApiRequest, router::Call,
};
use serde_json::{Map, Value, json};

use crate::world::{World, event, with_body, with_query};

const ACCOUNT: &str = "123456789012";
const OTHER: &str = "999999999999";

/// Account, ARN and id as API Gateway passes them on, and who of the list that is.
struct Caller {
    what: &'static str,
    account: &'static str,
    arn: String,
    id: String,
    /// Callers of one number are one principal.
    principal: u32,
    kind: &'static str,
}

fn caller(what: &'static str, principal: u32, account: &'static str, id: &str, arn: &str) -> Caller {
    let (kind, service) = match arn.split('/').next().unwrap() {
        "root" => ("Root", "iam"),
        "user" => ("IAMUser", "iam"),
        "assumed-role" => ("AssumedRole", "sts"),
        _ => ("FederatedUser", "sts"),
    };
    Caller {
        what,
        account,
        arn: format!("arn:aws:{service}::{account}:{arn}"),
        id: id.to_owned(),
        principal,
        kind,
    }
}

fn session(what: &'static str, principal: u32, account: &'static str, role: &str, name: &str) -> Caller {
    let (id, arn) = (format!("{role}:{name}"), format!("assumed-role/Role/{name}"));
    caller(what, principal, account, &id, &arn)
}

fn federated(what: &'static str, principal: u32, account: &'static str, name: &str) -> Caller {
    let (id, arn) = (format!("{account}:{name}"), format!("federated-user/{name}"));
    caller(what, principal, account, &id, &arn)
}

/// docs/audit.md has the same table.
fn callers() -> Vec<Caller> {
    let mut callers = users();
    callers.extend(sessions());
    callers.extend(federated_users());
    callers
}

const USER: &str = "AIDACKCEVSQ6C2EXAMPLE";
const ROLE: &str = "AROADBQP57FF2AEXAMPLE";

fn users() -> Vec<Caller> {
    vec![
        caller("root", 0, ACCOUNT, ACCOUNT, "root"),
        caller("GetSessionToken of root", 0, ACCOUNT, ACCOUNT, "root"),
        caller("root of another account", 1, OTHER, OTHER, "root"),
        caller("user", 2, ACCOUNT, USER, "user/ann"),
        caller("GetSessionToken of a user", 2, ACCOUNT, USER, "user/ann"),
        caller(
            "user of that name, made anew",
            3,
            ACCOUNT,
            "AIDACKCEVSQ6C2EXAMPLF",
            "user/ann",
        ),
        caller(
            "user under a path",
            4,
            ACCOUNT,
            "AIDACKCEVSQ6C2EXAMPLG",
            "user/x/ann",
        ),
        caller(
            "user whose id goes on",
            5,
            ACCOUNT,
            "AIDACKCEVSQ6C2EXAMPLE1",
            "user/bo",
        ),
    ]
}

fn sessions() -> Vec<Caller> {
    let of = |what, principal, role: &str, name: &str| session(what, principal, ACCOUNT, role, name);
    vec![
        of("of a role", 6, ROLE, "portal"),
        of("another of it", 6, ROLE, "ann"),
        of("named like a user's id", 6, ROLE, USER),
        of("named like a federated user", 6, ROLE, "123456789012:ann"),
        of("with colons", 6, ROLE, ":a:b"),
        of(
            "of IAM Identity Center",
            7,
            "AROASSO57FF2AEXAMPLE0",
            "ann@example.com",
        ),
        of("of EC2", 8, "AROAEC257FF2AEXAMPLE0", "i-0123456789abcdef0"),
        of("of Lambda", 9, "AROALAM57FF2AEXAMPLE0", "my-function"),
        of(
            "of ECS",
            10,
            "AROAECS57FF2AEXAMPLE0",
            "0123456789abcdef0123456789abcdef",
        ),
        of("by SAML", 11, "AROASAM57FF2AEXAMPLE0", "ann@example.com"),
        of("by a web identity", 12, "AROAWEB57FF2AEXAMPLE0", "build-1"),
        of(
            "of an identity pool",
            13,
            "AROACOG57FF2AEXAMPLE0",
            "CognitoIdentityCredentials",
        ),
        session("of another account", 14, OTHER, "AROAOTH57FF2AEXAMPLE0", "portal"),
        of(
            "of a role whose id goes on",
            15,
            "AROADBQP57FF2AEXAMPLE1",
            "portal",
        ),
    ]
}

fn federated_users() -> Vec<Caller> {
    vec![
        federated("federated user", 16, ACCOUNT, "ann"),
        federated("another federated user", 17, ACCOUNT, "bob"),
        federated("federated user of another account", 18, OTHER, "ann"),
        federated("federated user whose name goes on", 19, ACCOUNT, "ann2"),
        federated("federated user named like a role's id", 20, ACCOUNT, ROLE),
        federated("federated user named like a user's id", 21, ACCOUNT, USER),
        federated("federated user named like the account", 22, ACCOUNT, ACCOUNT),
        federated("federated user in another case", 23, ACCOUNT, "Ann"),
        federated("federated user named like a month", 24, ACCOUNT, "2026-11"),
    ]
}

impl Caller {
    fn principal(&self) -> Principal {
        let mut request = ApiRequest::default();
        request.context.account_id = Some(ACCOUNT.to_owned());
        request.context.api_id = Some("a1b2c3d4e5".to_owned());
        request.context.stage = Some("prod".to_owned());
        request.identity.account_id = Some(self.account.to_owned());
        request.identity.caller = Some(self.id.clone());
        request.identity.user = Some(self.id.clone());
        request.identity.user_arn = Some(self.arn.clone());
        let deployment = Deployment {
            account_id: ACCOUNT.to_owned(),
            partition: "aws".to_owned(),
            rest_api_id: "a1b2c3d4e5".to_owned(),
            stage: "prod".to_owned(),
        };
        Principal::establish(&request, &deployment).unwrap_or_else(|error| panic!("{}: {error:?}", self.what))
    }

    fn calls(&self, mut event: Value) -> Value {
        let identity = &mut event["requestContext"]["identity"];
        identity["accountId"] = json!(self.account);
        identity["caller"] = json!(self.id);
        identity["user"] = json!(self.id);
        identity["userArn"] = json!(self.arn);
        event
    }
}

fn token(principal: &Principal) -> String {
    let call = Call {
        region: "us-east-1".to_owned(),
        dryrun: false,
        input: Map::new(),
        client_token: Some("one-token-of-all".to_owned()),
        additional_iam_policies: None,
    };
    call.scoped_client_token(Action::CreateCluster, principal, "event")
        .unwrap()
}

#[test]
fn no_two_principals_share_a_client_token_or_an_index() {
    let callers: Vec<(Caller, Principal)> = callers()
        .into_iter()
        .map(|caller| {
            let principal = caller.principal();
            (caller, principal)
        })
        .collect();
    for (one, a) in &callers {
        assert_eq!(a.kind.name(), one.kind, "{}", one.what);
        for (other, b) in &callers {
            let is_one = one.principal == other.principal;
            let pair = format!("{} and {}", one.what, other.what);
            assert_eq!(token(a) == token(b), is_one, "{pair}");
            let key = |principal: &Principal| principal_key(&principal.principal_id, "2026-11");
            assert_eq!(key(a) == key(b), is_one, "{pair}");
        }
    }
}

/// What earlier versions recorded of them stays to be found.
#[test]
fn users_and_roles_keep_their_keys() {
    for (id, arn, key) in [
        (
            "AIDACKCEVSQ6C2EXAMPLE",
            "user/ann",
            "P#AIDACKCEVSQ6C2EXAMPLE#2026-11",
        ),
        (
            "AROADBQP57FF2AEXAMPLE:portal",
            "assumed-role/Role/portal",
            "P#AROADBQP57FF2AEXAMPLE#2026-11",
        ),
        (ACCOUNT, "root", "P#123456789012#2026-11"),
    ] {
        let principal = caller("", 0, ACCOUNT, id, arn).principal();
        assert_eq!(principal_key(&principal.principal_id, "2026-11"), key);
    }
}

#[tokio::test]
async fn every_caller_finds_its_own_calls_and_no_others_page() {
    let world = World::start().await;
    let mut callers = callers();
    // Root, a user, sessions of a role, and who could be taken for one of them.
    callers.retain(|caller| [0, 1, 2, 6, 16, 17, 18, 20, 22, 24].contains(&caller.principal));
    let mut tokens = Vec::new();
    for caller in &callers {
        for _ in 0..2 {
            assert_eq!(
                world.send(&caller.calls(event("list-clusters"))).await.status,
                200
            );
        }
        let question = [("operation", "ListClusters"), ("maxResults", "1")];
        let page = world
            .send(&caller.calls(with_query(event("list-audit-events"), &question)))
            .await;
        assert_eq!(page.status, 200, "{}: {page:?}", caller.what);
        tokens.push(page.body["nextToken"].as_str().unwrap().to_owned());
    }
    for (caller, token) in callers.iter().zip(&tokens) {
        let question = [
            ("operation", "ListClusters"),
            ("maxResults", "1"),
            ("nextToken", token.as_str()),
        ];
        for other in &callers {
            let page = world
                .send(&other.calls(with_query(event("list-audit-events"), &question)))
                .await;
            let expected = if caller.principal == other.principal {
                200
            } else {
                400
            };
            assert_eq!(
                page.status, expected,
                "{} with the token of {}",
                other.what, caller.what
            );
        }
        let id = caller.principal().principal_id;
        let question = [("operation", "ListClusters"), ("principalId", id.as_str())];
        let found = world
            .send(&with_query(event("list-audit-events"), &question))
            .await;
        assert_eq!(found.status, 200, "{}: {found:?}", caller.what);
        let found = found.body["auditEvents"].as_array().unwrap().clone();
        let theirs = callers
            .iter()
            .filter(|other| other.principal == caller.principal)
            .count();
        assert_eq!(found.len(), 2 * theirs, "{}", caller.what);
        for event in found {
            assert_eq!(event["userIdentity"]["principalId"], id, "{}", caller.what);
            assert_eq!(event["userIdentity"]["type"], caller.kind);
        }
    }
}

/// The token that one federated user chose is no way to another's cluster.
#[tokio::test]
async fn a_federated_users_client_token_replays_nothing_of_another() {
    let world = World::start().await;
    let create = |who: &Caller, name: &str| {
        let change = json!({"clusterName": name, "clientToken": "the-same-token"});
        who.calls(with_body(event("create-cluster"), change))
    };
    let ann = federated("federated user", 0, ACCOUNT, "ann");
    let bob = federated("another", 1, ACCOUNT, "bob");
    let first = world.send(&create(&ann, "one")).await;
    world.settle();
    let other = world.send(&create(&bob, "two")).await;
    assert_eq!((first.status, other.status), (202, 202), "{other:?}");
    assert_ne!(first.body["cluster"]["id"], other.body["cluster"]["id"]);
    let again = world.send(&create(&ann, "one")).await;
    assert_eq!(again.body["cluster"]["id"], first.body["cluster"]["id"]);
}

#[tokio::test]
async fn an_identity_that_is_not_one_principal_is_refused_and_recorded() {
    let world = World::start().await;
    for (member, value) in [
        ("caller", json!("AROADBQP57FF2AEXAMPLE:somebody-else")),
        ("caller", json!("123456789012:portal")),
        ("caller", json!("AIDACKCEVSQ6C2EXAMPLE")),
        ("caller", json!("portal")),
        ("caller", json!("")),
        ("user", json!("AROAI3QHT5ZEXAMPLE000:portal")),
        ("userArn", json!("arn:aws:iam::123456789012:root")),
        (
            "userArn",
            json!("arn:aws:sts::123456789012:federated-user/portal"),
        ),
        ("accountId", json!("999999999999")),
        ("accountId", json!(null)),
        ("cognitoAuthenticationType", json!("unauthenticated")),
    ] {
        let mut request = event("list-clusters");
        request["requestContext"]["identity"][member] = value.clone();
        let answer = world.send(&request).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (403, &json!("AccessDeniedException")),
            "{member} {value}: {answer:?}"
        );
        let row = world.rows().await.pop().unwrap();
        assert_eq!(
            (&row["sk"], &row["decision"], row.get("userIdentity")),
            (&json!("9#COMPLETE"), &json!("DENY"), None),
            "{member} {value}"
        );
    }
    assert_eq!(world.pcs_actions(), Vec::<String>::new());
}
