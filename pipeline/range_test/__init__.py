"""Stage `range_test`: raise the rate while training, and read from the loss where a good one may lie."""
