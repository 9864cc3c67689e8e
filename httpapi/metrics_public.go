package httpapi

import (
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/valyala/fasthttp"
)

// keyLabel is the label with the name of an API key.
const keyLabel = "key"

// showPublicMetrics answers GET /metrics to everybody. Only clients with a key see the names of API keys, which are
// those of clients: other answers have one sum for all of them, and no metrics of each.
func (s *Server) showPublicMetrics(ctx *fasthttp.RequestCtx) *failure {
	if s.config.Keys == nil {
		return s.showMetrics(ctx)
	}
	if _, f := s.config.Keys.authorise(&ctx.Request.Header); f == nil {
		return s.showMetrics(ctx)
	}
	families, err := s.metrics.registry.Gather()
	if err != nil {
		return internalFailure(err)
	}
	return writeMetrics(ctx, withoutKeys(families))
}

// withoutKeys returns families as if all API keys had one empty name. Families of keys alone are left out.
func withoutKeys(families []*dto.MetricFamily) []*dto.MetricFamily {
	return slices.DeleteFunc(families, func(family *dto.MetricFamily) bool {
		if strings.HasPrefix(family.GetName(), clientMetricPrefix) {
			return true
		}
		sums := map[string]*dto.Metric{}
		family.Metric = slices.DeleteFunc(family.Metric, func(metric *dto.Metric) bool {
			at := slices.IndexFunc(metric.GetLabel(), func(label *dto.LabelPair) bool { return label.GetName() == keyLabel })
			if at < 0 {
				return false
			}
			metric.Label = slices.Clone(metric.GetLabel()) // the original belongs to the registry
			metric.Label[at] = &dto.LabelPair{Name: new(keyLabel), Value: new(string)}
			var others strings.Builder // names and values of its labels
			for _, label := range metric.GetLabel() {
				others.WriteString(label.GetName() + "\x00" + label.GetValue() + "\x00")
			}
			sum := sums[others.String()]
			if sum == nil {
				sums[others.String()] = metric
				return false
			}
			sum.Counter.Value = new(sum.GetCounter().GetValue() + metric.GetCounter().GetValue())
			return true
		})
		return false
	})
}
