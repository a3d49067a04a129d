//! The two formats in which metrics are read.

use http::{HeaderMap, header::ACCEPT};

use super::table::METRICS;

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// The text format of Prometheus, which everything reads that scrapes.
    Prometheus,
    /// OpenMetrics, which the library writes.
    OpenMetrics,
}

impl Format {
    /// The one that a request asks for. Who can read OpenMetrics names it, and prefers it.
    pub(super) fn asked(headers: &HeaderMap) -> Self {
        let mut accepted = headers.get_all(ACCEPT).iter();
        let names_it = accepted.any(|value| {
            let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
            value.contains("application/openmetrics-text")
        });
        if names_it {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// The value of `Content-Type`.
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// `open_metrics` in this format. Samples are the same in both; what is said of them is not.
    pub(super) fn write(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Prometheus => open_metrics.lines().filter_map(in_prometheus).collect(),
        }
    }
}

/// One line of OpenMetrics as Prometheus has it: a metric is called as its samples are, there are
/// fewer types, and no units.
fn in_prometheus(line: &str) -> Option<String> {
    let Some(said) = line.strip_prefix("# ") else {
        return Some(format!("{line}\n"));
    };
    let mut words = said.splitn(3, ' ');
    let (keyword, name, rest) = (words.next()?, words.next()?, words.next()?);
    let metric = METRICS.iter().find(|metric| metric.name == name)?;
    let suffix = metric.kind.suffix();
    match (keyword, rest) {
        ("TYPE", "info") => Some(format!("# TYPE {name}{suffix} gauge\n")),
        ("HELP" | "TYPE", rest) => Some(format!("# {keyword} {name}{suffix} {rest}\n")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn who_names_open_metrics_gets_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, expected) in [
            (prometheus, Format::OpenMetrics),
            ("Application/OpenMetrics-Text", Format::OpenMetrics),
            ("text/plain;version=0.0.4", Format::Prometheus),
            ("*/*", Format::Prometheus),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(Format::asked(&headers), expected, "{accept}");
        }
        assert_eq!(Format::asked(&HeaderMap::new()), Format::Prometheus);
    }

    #[test]
    fn metrics_are_called_as_their_samples_in_the_format_of_prometheus() {
        let open_metrics = "\
# HELP keystead_build The version.
# TYPE keystead_build info
keystead_build_info{version=\"1 # x\"} 1
# HELP keystead_http_requests Requests.
# TYPE keystead_http_requests counter
keystead_http_requests_total{method=\"GET\"} 3
# HELP keystead_http_request_duration_seconds Time.
# TYPE keystead_http_request_duration_seconds histogram
# UNIT keystead_http_request_duration_seconds seconds
keystead_http_request_duration_seconds_sum 0.5
# EOF
";
        let expected = "\
# HELP keystead_build_info The version.
# TYPE keystead_build_info gauge
keystead_build_info{version=\"1 # x\"} 1
# HELP keystead_http_requests_total Requests.
# TYPE keystead_http_requests_total counter
keystead_http_requests_total{method=\"GET\"} 3
# HELP keystead_http_request_duration_seconds Time.
# TYPE keystead_http_request_duration_seconds histogram
keystead_http_request_duration_seconds_sum 0.5
";
        let write = |format: Format| format.write(open_metrics.to_owned());
        assert_eq!(write(Format::Prometheus), expected);
        assert_eq!(write(Format::OpenMetrics), open_metrics);
    }
}
