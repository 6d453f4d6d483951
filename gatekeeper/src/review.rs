//! The API server's review of a token.

use std::time::Duration;

use bellwether_chassis::kubernetes::filled::ObjectError;
use bellwether_gatekeeper_core::token::AUDIENCE;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::PostParams;
use kube::{Api, Client};

/// Longer than any client waits: an answer that comes late is remembered for the client's next try.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

const OBJECT: &str = "tokenreviews.authentication.k8s.io";

/// Asks the API server about a token.
pub(crate) async fn review(client: &Client, token: &str) -> Result<TokenReviewStatus, ObjectError> {
    let question = TokenReview {
        spec: TokenReviewSpec {
            audiences: Some(vec![AUDIENCE.to_owned()]),
            token: Some(token.to_owned()),
        },
        ..TokenReview::default()
    };
    let reviews: Api<TokenReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &question).await;
    let answer = answer.map_err(|error| ObjectError::of(error, "create", OBJECT))?;
    Ok(answer.status.unwrap_or_default())
}
