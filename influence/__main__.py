"""`python -m influence` is the same as `influence`."""

from influence.cli import main

if __name__ == "__main__":
    main()
