"""The guard in front of model servers, a file each. None of the servers is imported here."""
