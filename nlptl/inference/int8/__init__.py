"""A transformer in int8 on the CPU, by own vector code: numba is all it needs."""
