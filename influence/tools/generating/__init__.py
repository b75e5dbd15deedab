"""Errors, toolkits and cases that a model writes. All of it is data to be checked: nothing is kept that was not."""
