package console

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"rollcall/internal/jobs"
	"rollcall/models"
)

// jobsPage is the data of jobs.html.
type jobsPage struct {
	App  appRow
	Path string
	Jobs []jobRow
	May  rights
	pager
}

// jobRow is a job on a page.
type jobRow struct {
	*models.Job
	Path string
}

// Running reports whether the job is running.
func (r jobRow) Running() bool { return r.State == models.JobRunning }

// Done reports whether the job is complete.
func (r jobRow) Done() bool { return r.State == models.JobDone }

// Scale returns the number that Handled is a part of. It can differ from Total, because users may
// have been added or deleted since the job was counted.
func (r jobRow) Scale() int { return max(r.Total, r.Handled, 1) }

// jobPage is the data of job.html.
type jobPage struct {
	App appRow
	Job jobRow
	// JobsPath lists all jobs of the app. AuditPath is the audit of this job. AgainPath is the page
	// that does the rest, or "" if the users must be chosen again.
	JobsPath, AuditPath, AgainPath string
	// DevicesLater is true if Redis was away during the job, so that the nodes close devices by
	// themselves.
	DevicesLater bool
}

// closingJobs are the kinds of jobs that close devices, which the nodes also do without Redis.
var closingJobs = []models.JobKind{models.JobBan, models.JobSignOut, models.JobDeactivate, models.JobDelete, models.JobClear}

// jobsPath returns the page that lists the app's jobs.
func jobsPath(app *models.App) string { return appPath(app) + "/jobs" }

func jobRowOf(app *models.App, job *models.Job) jobRow {
	return jobRow{job, jobsPath(app) + "/" + strconv.FormatInt(job.ID, 10)}
}

func (c *console) listJobs(v *visit) error {
	app := v.app
	request := pageBothWays(v, pageSizes[0])
	found, err := c.Jobs.List(v.r.Context(), app, request)
	if err != nil {
		return err
	}
	p := jobsPage{App: c.appRow(v, app), Path: jobsPath(app), May: v.rights(), pager: pagerBothWays(v, request, found.PageInfo())}
	for _, job := range found.Nodes() {
		p.Jobs = append(p.Jobs, jobRowOf(app, job))
	}
	return c.show(v, "jobs", p)
}

// showJob shows the progress of a job. The job does not depend on the page.
func (c *console) showJob(v *visit) error {
	app := v.app
	id, err := strconv.ParseInt(v.r.PathValue("job"), 10, 64)
	if err != nil {
		return c.notFound(v)
	}
	job, err := c.Jobs.ByID(v.r.Context(), app, id)
	if err != nil {
		return err
	}
	if job == nil {
		return c.notFound(v)
	}
	p := jobPage{App: c.appRow(v, app), Job: jobRowOf(app, job), JobsPath: jobsPath(app), AuditPath: auditOfJob(app, job)}
	if slices.Contains(closingJobs, job.Kind) && c.redisAway() {
		p.DevicesLater = p.Job.Running() || job.SeenAt >= c.Health().Redis.Since
	}
	if job.Kind == models.JobClear && v.rights().Administer() {
		p.AgainPath = clearPath(app)
	}
	status := http.StatusOK
	if !p.Job.Running() && v.r.Header.Get("HX-Request") == "true" {
		status = stopPolling
	}
	return c.render(v, status, "job", p)
}

// stopPolling is the status code that makes htmx stop polling.
const stopPolling = 286

// start starts a job and redirects to its page.
func (c *console) start(v *visit, app *models.App, kind models.JobKind, total int, work jobs.Work) error {
	job, err := c.Jobs.Start(v.r.Context(), app, kind, total, c.actor(v), work)
	if errors.Is(err, jobs.ErrAppDisabled) {
		return problem{http.StatusConflict, "job.refused.disabled"}
	}
	if err != nil {
		return err
	}
	return v.redirect(jobRowOf(app, job).Path)
}
