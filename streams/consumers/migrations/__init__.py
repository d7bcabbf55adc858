"""What all consumers' migrations are run by; the migrations themselves lie with each consumer, in `versions`."""
