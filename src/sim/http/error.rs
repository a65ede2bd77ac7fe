//! Refusals in the shape vLLM gives them.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The body is not what the API asks for.
    #[error("{0}")]
    Malformed(String),
    /// The body asks for what the engine cannot do.
    #[error("{message}")]
    Invalid {
        /// Which parameter.
        param: &'static str,
        /// Why not.
        message: String,
    },
    /// No such model is served.
    #[error("The model `{0}` does not exist.")]
    UnknownModel(String),
    /// Refused on purpose, with this status.
    #[error("{message}")]
    OnPurpose {
        /// The status.
        status: StatusCode,
        /// What is said.
        message: String,
    },
    /// The engine ended before the answer did.
    #[error("the engine stopped")]
    Stopped,
}

impl Refusal {
    /// A refusal of one parameter.
    pub fn invalid(param: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid {
            param,
            message: message.into(),
        }
    }

    fn kind(&self) -> (StatusCode, &'static str, Option<&'static str>) {
        match self {
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "Bad Request", None),
            Self::Invalid { param, .. } => {
                (StatusCode::BAD_REQUEST, "BadRequestError", Some(param))
            }
            Self::UnknownModel(_) => (StatusCode::NOT_FOUND, "NotFoundError", Some("model")),
            Self::OnPurpose { status, .. } => (*status, "OnPurpose", None),
            Self::Stopped => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalServerError",
                None,
            ),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, kind, param) = self.kind();
        let error = json!({ "message": self.to_string(), "type": kind, "param": param, "code": status.as_u16() });
        let mut response = (status, Json(json!({ "error": error }))).into_response();
        if [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ]
        .contains(&status)
        {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
