package outage

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWithin_DoesNotWaitForACallThatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		_, err := Within(context.Background(), time.Second, func(context.Context) (int, error) {
			time.Sleep(10 * time.Second)
			return 1, nil
		})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		if got, err := Within(context.Background(), time.Second, func(context.Context) (int, error) { return 1, nil }); got != 1 || err != nil {
			t.Error(got, err)
		}
		time.Sleep(10 * time.Second)
	})
}
