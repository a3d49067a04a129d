//! The client of rmcp, from nothing but the URL of the box to a tool call.
//!
//! ```text
//! keystead-rmcp-client <public URL>
//! ```
//!
//! It prints `open <URL>` and gets the URL of the answer as a line of its input; `done` is printed
//! when every assertion was reached. The access tokens of the box last 2 s, and the person leaves
//! out `grants:write` until they are asked again.

use std::{error::Error, io, time::Duration};

use rmcp::{
    RoleClient, ServiceExt,
    model::{CallToolRequestParams, CallToolResult},
    service::{RunningService, ServiceError},
    transport::{
        AuthClient, StreamableHttpClientTransport,
        auth::{AuthorizationCallback, AuthorizationManager, AuthorizationRequest, OAuthState},
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

const REDIRECT: &str = "http://127.0.0.1:7777/callback";
/// Longer than an access token lasts here.
const UNTIL_IT_HAS_ENDED: Duration = Duration::from_millis(2_500);

#[tokio::main]
async fn main() -> Outcome<()> {
    let public_url = std::env::args().nth(1).ok_or("expected a public URL")?;
    let url = format!("{public_url}/mcp");
    let manager = signed_in(&url).await?;
    let http = AuthClient::new(reqwest::Client::new(), manager);
    let config = StreamableHttpClientTransportConfig::with_uri(url);
    let transport = StreamableHttpClientTransport::with_client(http.clone(), config);
    let client = ().serve(transport).await?;

    assert!(
        tools(&client)
            .await?
            .contains(&"get_authenticated_user".to_owned())
    );
    assert_eq!(
        call(&client, "get_authenticated_user", json!({})).await?["name"],
        "ada"
    );

    let first = http.get_access_token().await?;
    tokio::time::sleep(UNTIL_IT_HAS_ENDED).await;
    assert_eq!(
        call(&client, "get_authenticated_user", json!({})).await?["name"],
        "ada"
    );
    assert_ne!(
        http.get_access_token().await?,
        first,
        "the token was not renewed"
    );

    assert!(
        !tools(&client)
            .await?
            .contains(&"revoke_my_grant".to_owned())
    );
    let grants = call(&client, "list_my_grants", json!({})).await?;
    let revoke = json!({ "grant_id": grants["grants"][0]["id"] });
    let refused = call(&client, "revoke_my_grant", revoke.clone()).await;
    let refused = format!("{:?}", refused.expect_err("a scope is missing"));
    assert!(refused.contains("grants:write"), "{refused}");
    {
        let manager = http.auth_manager.lock().await;
        let answer = answer_to(&manager.request_scope_upgrade("grants:write").await?)?;
        finish(&manager, &answer).await?;
    }
    // The list of tools is the one that it keeps for a minute; a call is answered as things are now.
    assert_eq!(
        call(&client, "revoke_my_grant", revoke).await?["revoked"],
        true
    );
    println!("done");
    Ok(())
}

/// Signs in with what the box says of itself, as a client that registers itself.
async fn signed_in(url: &str) -> Outcome<AuthorizationManager> {
    // The box of the test is on this machine.
    let manager = AuthorizationManager::new_allowing_private_addresses(url).await?;
    let mut state = OAuthState::Unauthorized(manager);
    let request = AuthorizationRequest::new(REDIRECT).with_client_name("Rust host");
    state.start_authorization(request).await?;
    let answer = answer_to(&state.get_authorization_url().await?)?;
    state.handle_callback_url(&answer).await?;
    Ok(state
        .into_authorization_manager()
        .ok_or("expected to be signed in")?)
}

async fn finish(manager: &AuthorizationManager, answer: &str) -> Outcome<()> {
    let callback = AuthorizationCallback::from_redirect_url(answer)?;
    let issuer = callback.issuer.as_deref();
    manager
        .exchange_code_for_token_with_issuer(&callback.code, &callback.csrf_token, issuer)
        .await?;
    Ok(())
}

/// Has `url` opened by the person at the browser.
fn answer_to(url: &str) -> Outcome<String> {
    println!("open {url}");
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

async fn tools(client: &RunningService<RoleClient, ()>) -> Outcome<Vec<String>> {
    let listed = client.list_all_tools().await?;
    Ok(listed
        .into_iter()
        .map(|tool| tool.name.into_owned())
        .collect())
}

async fn call(
    client: &RunningService<RoleClient, ()>,
    name: &'static str,
    arguments: Value,
) -> Result<Value, ServiceError> {
    let Value::Object(arguments) = arguments else {
        unreachable!("arguments are an object")
    };
    let request = CallToolRequestParams::new(name).with_arguments(arguments);
    let result: CallToolResult = client.call_tool(request).await?;
    assert_ne!(result.is_error, Some(true), "{name}: {result:?}");
    Ok(result.structured_content.expect("an output for programs"))
}
