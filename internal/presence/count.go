package presence

import dto "github.com/prometheus/client_model/go"

// DeviceCount answers how many devices are connected to this process.
func (h *Hub) DeviceCount() int {
	var now dto.Metric
	if err := h.metrics.devices.Write(&now); err != nil {
		return 0 // a gauge without labels has nothing that could fail
	}
	return int(now.GetGauge().GetValue())
}
