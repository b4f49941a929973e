"""Stages of training, their losses and configurations, and the loop that runs them."""
