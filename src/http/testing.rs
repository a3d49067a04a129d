//! What the tests of this floor share.

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderName, HeaderValue, Method};

use crate::{
    http::{
        request::{Head, RequestId},
        route::Captures,
    },
    model::timestamp::Timestamp,
    runtime::entropy::SeededEntropy,
};

/// A head with these headers and nothing else of note.
pub(crate) fn head(headers: &[(&str, &str)]) -> Head {
    let headers = headers.iter().map(|(name, value)| {
        let name: HeaderName = name.parse().expect("a header's name");
        (
            name,
            HeaderValue::from_str(value).expect("a header's value"),
        )
    });
    Head {
        id: RequestId::generate(Timestamp::EPOCH, &SeededEntropy::new(1)),
        now: Timestamp::EPOCH,
        method: Method::GET,
        path: "/".into(),
        query: None,
        headers: headers.collect(),
        remote: IpAddr::V4(Ipv4Addr::LOCALHOST),
        captures: Captures::default(),
    }
}
