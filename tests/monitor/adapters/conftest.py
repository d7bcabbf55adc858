"""This file puts its folder on the path: the tests of formats import `adapter_rows`."""
