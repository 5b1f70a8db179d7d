"""What starts executions by itself: schedules, webhooks, ends of other flows."""
