//! Writing a metric out, in the words of the library.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
    metrics::MetricType,
    registry::Unit,
};

use crate::{
    appliance::{
        Appliance,
        metrics::table::{Kind, METRICS, Metric},
    },
    metrics::Histogram,
};

const NANOS_PER_SECOND: f64 = 1e9;

/// All metrics of an appliance.
pub(super) struct Measured(pub(super) std::sync::Arc<Appliance>);

impl fmt::Debug for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Measured")
    }
}

impl Collector for Measured {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        METRICS.iter().try_for_each(|metric| {
            let (name, unit) = metric.base();
            let of_type = metric.kind.of_type();
            // A help text ends with a full stop, as those do that the library writes itself.
            let help = format!("{}.", metric.help);
            let mut encoder = encoder.encode_descriptor(name, &help, unit.as_ref(), of_type)?;
            let mut samples = Samples {
                metric,
                encoder: &mut encoder,
            };
            (metric.read)(&self.0, &mut samples)
        })
    }
}

impl Kind {
    const fn of_type(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
            Self::Durations | Self::Sizes => MetricType::Histogram,
            Self::Info => MetricType::Info,
        }
    }
}

impl Metric {
    /// The name without its unit, and the unit, which OpenMetrics says in a line of its own.
    fn base(&self) -> (&'static str, Option<Unit>) {
        for unit in [Unit::Seconds, Unit::Bytes] {
            let base = self.name.strip_suffix(unit.as_str());
            if let Some(base) = base.and_then(|base| base.strip_suffix('_')) {
                return (base, Some(unit));
            }
        }
        (self.name, None)
    }
}

/// Takes the samples of one metric.
pub(super) struct Samples<'a, 'b> {
    metric: &'static Metric,
    encoder: &'a mut MetricEncoder<'b>,
}

impl Samples<'_, '_> {
    /// A sample of a counter or a gauge; `labels` are the values of the metric's labels, in order.
    pub(super) fn value(&mut self, labels: &[&str], value: u64) -> fmt::Result {
        let kind = self.metric.kind;
        self.labelled(labels, |encoder| match kind {
            Kind::Counter => encoder.encode_counter::<NoLabelSet, _, u64>(&value, None),
            _ => encoder.encode_gauge(&value),
        })
    }

    /// The same, for a counter of which most series never begin.
    pub(super) fn nonzero(&mut self, labels: &[&str], value: u64) -> fmt::Result {
        match value {
            0 => Ok(()),
            _ => self.value(labels, value),
        }
    }

    /// A sample of a gauge that is no whole number.
    pub(super) fn fraction(&mut self, labels: &[&str], value: f64) -> fmt::Result {
        self.labelled(labels, |encoder| encoder.encode_gauge(&value))
    }

    /// The samples of a histogram.
    pub(super) fn histogram(&mut self, labels: &[&str], histogram: &Histogram) -> fmt::Result {
        let scale = match self.metric.kind {
            Kind::Durations => NANOS_PER_SECOND,
            _ => 1.0,
        };
        let scaled = |value: u64| {
            #[expect(
                clippy::cast_precision_loss,
                reason = "what a dashboard shows has few digits"
            )]
            let value = value as f64;
            value / scale
        };
        let buckets: Vec<(f64, u64)> = histogram
            .buckets()
            .map(|(bound, count)| (bound.map_or(f64::INFINITY, scaled), count))
            .collect();
        // Counted anew, so that it is the sum of the buckets whatever is recorded meanwhile.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = scaled(histogram.sum());
        self.labelled(labels, |encoder| {
            encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        })
    }

    /// The sample of what has nothing but labels.
    pub(super) fn info(&mut self, labels: &[&str]) -> fmt::Result {
        let labels = self.named(labels);
        self.encoder.encode_info(&labels)
    }

    fn named<'l>(&self, labels: &'l [&'l str]) -> Vec<(&'static str, &'l str)> {
        debug_assert_eq!(
            labels.len(),
            self.metric.labels.len(),
            "{}",
            self.metric.name
        );
        let names = self.metric.labels.iter().copied();
        names.zip(labels.iter().copied()).collect()
    }

    fn labelled(
        &mut self,
        labels: &[&str],
        write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let labels = self.named(labels);
        if labels.is_empty() {
            return write(self.encoder);
        }
        write(&mut self.encoder.encode_family(&labels)?)
    }
}
