//! Errors in vLLM's format.

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The reason why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    /// The body does not match the API.
    #[error("{0}")]
    Malformed(String),
    /// The engine does not support the value of a parameter.
    #[error("{message}")]
    Invalid {
        param: &'static str,
        message: String,
    },
    #[error("The model `{0}` does not exist.")]
    UnknownModel(String),
    /// A deliberate fault.
    #[error("{message}")]
    OnPurpose { status: StatusCode, message: String },
    /// The engine stopped before the end of the answer.
    #[error("the engine stopped")]
    Stopped,
}

impl ApiError {
    pub(crate) fn invalid(param: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid {
            param,
            message: message.into(),
        }
    }

    pub(crate) fn missing(param: &'static str) -> Self {
        Self::invalid(param, format!("Field required: `{param}`"))
    }

    /// The status, the type and the parameter of the error.
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

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, kind, param) = self.kind();
        let error = json!({
            "message": self.to_string(),
            "type": kind,
            "param": param,
            "code": status.as_u16(),
        });
        let mut response = (status, Json(json!({ "error": error }))).into_response();
        if matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        ) {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
