//! What is counted of connections and requests.

use std::time::Duration;

use http::StatusCode;

use crate::metrics::{Counter, Gauge, Histogram, counters};

/// How a request ended: the first digit of its status, or nothing where it had no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 1xx: it became something else, such as a WebSocket.
    Informational,
    /// 2xx.
    Success,
    /// 3xx.
    Redirection,
    /// 4xx.
    ClientError,
    /// 5xx.
    ServerError,
    /// Its client hung up before there was an answer.
    None,
}

impl Class {
    /// Every class, in the order of their declaration.
    pub const ALL: [Self; 6] = [
        Self::Informational,
        Self::Success,
        Self::Redirection,
        Self::ClientError,
        Self::ServerError,
        Self::None,
    ];

    /// What it is called.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "1xx",
            Self::Success => "2xx",
            Self::Redirection => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
            Self::None => "none",
        }
    }

    fn of(status: Option<StatusCode>) -> Self {
        match status.map(|status| status.as_u16() / 100) {
            Some(1) => Self::Informational,
            Some(2) => Self::Success,
            Some(3) => Self::Redirection,
            Some(4) => Self::ClientError,
            Some(_) => Self::ServerError,
            None => Self::None,
        }
    }
}

/// What is counted of the requests of one row of the table of routes.
#[derive(Debug)]
pub struct RouteFigures {
    answers: [Counter; Class::ALL.len()],
    /// From the end of the head to the answer.
    pub durations: Histogram,
}

impl RouteFigures {
    fn new() -> Self {
        Self {
            answers: counters(),
            durations: Histogram::of_durations(),
        }
    }

    /// How many requests ended so.
    pub fn answers(&self, class: Class) -> u64 {
        self.answers[class as usize].get()
    }
}

/// What is counted of one server.
#[derive(Debug)]
pub struct Figures {
    routes: Box<[RouteFigures]>,
    unrouted: RouteFigures,
    /// Requests whose head was read and that have no answer yet.
    pub in_flight: Gauge,
    /// Requests that have begun and whose answer is not all written: an event stream is one for as
    /// long as it lasts.
    pub streams: Gauge,
    /// Connections that are open.
    pub connections: Gauge,
    /// Connections that were accepted.
    pub accepted: Counter,
    /// Those of them that were turned away, because plain http was not for their peer.
    pub turned_away: Counter,
    /// Those of them that did not come to an agreement about TLS.
    pub without_tls: Counter,
}

impl Default for Figures {
    /// Of a table without a row.
    fn default() -> Self {
        Self::new(0)
    }
}

impl Figures {
    /// Nothing yet, of a table of so many routes.
    pub fn new(routes: usize) -> Self {
        Self {
            routes: (0..routes).map(|_| RouteFigures::new()).collect(),
            unrouted: RouteFigures::new(),
            in_flight: Gauge::default(),
            streams: Gauge::default(),
            connections: Gauge::default(),
            accepted: Counter::default(),
            turned_away: Counter::default(),
            without_tls: Counter::default(),
        }
    }

    /// Of each row of the table, in its order.
    pub fn routes(&self) -> &[RouteFigures] {
        &self.routes
    }

    /// Of requests for which there is no row, whatever they asked for.
    pub fn unrouted(&self) -> &RouteFigures {
        &self.unrouted
    }

    /// A request of the row at `place` ended after `took`.
    pub(crate) fn ended(&self, place: Option<usize>, status: Option<StatusCode>, took: Duration) {
        let route = place.and_then(|place| self.routes.get(place));
        let route = route.unwrap_or(&self.unrouted);
        route.answers[Class::of(status) as usize].add_one();
        route.durations.record_duration(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_stands_at_its_place() {
        for (place, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, place);
        }
        for (status, class) in [
            (101, "1xx"),
            (204, "2xx"),
            (303, "3xx"),
            (429, "4xx"),
            (503, "5xx"),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(Class::of(Some(status)).as_str(), class);
        }
        // A status beyond those that exist is our mistake.
        let odd = StatusCode::from_u16(999).expect("three digits");
        assert_eq!(Class::of(Some(odd)), Class::ServerError);
        assert_eq!(Class::of(None), Class::None);
    }

    #[test]
    fn what_has_no_row_is_counted_together() {
        let figures = Figures::new(2);
        let ok = Some(StatusCode::OK);
        figures.ended(Some(1), ok, Duration::from_millis(1));
        for place in [None, Some(2), Some(usize::MAX)] {
            figures.ended(place, ok, Duration::ZERO);
        }
        let counts =
            |route: &RouteFigures| (route.answers(Class::Success), route.durations.count());
        assert_eq!(counts(&figures.routes()[0]), (0, 0));
        assert_eq!(counts(&figures.routes()[1]), (1, 1));
        assert_eq!(counts(figures.unrouted()), (3, 3));
    }
}
