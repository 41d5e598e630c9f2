package webhooks

import (
	"context"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/models"
)

// HealthHours is how many hours the health of an endpoint covers, the present one included.
const HealthHours = 24

// Health has the attempts to reach an endpoint, by hour, the present hour last.
type Health [HealthHours]Attempts

// Attempts is how many attempts succeeded and failed.
type Attempts struct{ Succeeded, Failed int64 }

// Sum returns the attempts of all hours.
func (h *Health) Sum() (sum Attempts) {
	for _, hour := range h {
		sum.Succeeded += hour.Succeeded
		sum.Failed += hour.Failed
	}
	return sum
}

// Health returns the health of endpoints by their IDs.
func (s *Service) Health(ctx context.Context, list ...*models.WebhookEndpoint) (map[int64]*Health, error) {
	out := make(map[int64]*Health, len(list))
	var ids []int64
	for _, e := range list {
		ids, out[e.ID] = append(ids, e.ID), new(Health)
	}
	first := firstHour(s.now())
	var rows []*models.WebhookHour
	if err := s.db.Read(ctx).Where("endpoint_id IN ? AND begins_at >= ?", ids, first).Find(&rows).Error; err != nil {
		return nil, fault.Wrap(err, "reading the health of webhook endpoints")
	}
	for _, row := range rows {
		// A node whose clock is ahead may have begun an hour that has not begun here.
		if i := time.Duration(row.BeginsAt-first) * time.Millisecond / time.Hour; i < HealthHours {
			out[row.EndpointID][i] = Attempts{row.Succeeded, row.Failed}
		}
	}
	return out, nil
}

// hourOf returns when the hour of a time begins, and firstHour when the first one of the health begins.
func hourOf(t models.Time) models.Time      { return t - t%models.Time(time.Hour/time.Millisecond) }
func firstHour(now models.Time) models.Time { return hourOf(now).Add(-(HealthHours - 1) * time.Hour) }

// count adds the results of a batch to the endpoint's hour in tx, which has locked the endpoint.
func count(tx *gorm.DB, endpointID int64, results []*result, now models.Time) error {
	if len(results) == 0 {
		return nil
	}
	hour := models.WebhookHour{EndpointID: endpointID, BeginsAt: hourOf(now)}
	for _, r := range results {
		if r.succeeded() {
			hour.Succeeded++
		} else {
			hour.Failed++
		}
	}
	added := tx.Exec("UPDATE webhook_hours SET succeeded = succeeded + ?, failed = failed + ? WHERE endpoint_id = ? AND begins_at = ?",
		hour.Succeeded, hour.Failed, endpointID, hour.BeginsAt)
	if added.Error != nil || added.RowsAffected > 0 {
		return added.Error
	}
	if err := tx.Where("endpoint_id = ? AND begins_at < ?", endpointID, firstHour(now)).Delete(&models.WebhookHour{}).Error; err != nil {
		return err
	}
	return tx.Create(&hour).Error
}
