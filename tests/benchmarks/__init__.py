"""Benchmarks: run by `make bench`, never by pytest. Figures are ratios measured side by side in one sitting."""
