/* metrics.h - what the numbers mean: the one place where perplexity and KL divergence are defined.
 *
 * For a scored position with next token t and the model's distribution q = softmax(logits):
 *   negative log likelihood   nll = -log q(t)
 *   perplexity                exp(mean nll); standard error = perplexity * se(nll)
 *   KL divergence             sum over tokens of p log(p / q) in nats, p the reference's
 *                             distribution
 *   same top token            argmax p == argmax q (the smaller token id where logits tie)
 *   standard error of a mean  sqrt((mean(x^2) - mean(x)^2) / (n - 1)) */
#ifndef RUSK_EVAL_METRICS_H
#define RUSK_EVAL_METRICS_H

#include <stddef.h>
#include <stdint.h>

typedef struct rusk_mean {
    uint64_t n;
    double sum, sum_squares;
} rusk_mean;

void rusk_mean_add(rusk_mean *m, double x);
double rusk_mean_value(const rusk_mean *m); /* NaN where n = 0 */
double rusk_mean_se(const rusk_mean *m);    /* 0 where n < 2 */

/* log of the sum of exponentials: log q(i) = logits[i] - value. */
double rusk_log_sum_exp(const float *logits, size_t n);
size_t rusk_argmax(const float *logits, size_t n);
double rusk_kl_divergence(const float *p_logits, const float *q_logits, size_t n);

/* Value at fraction f (0..1) of n values, which ascend in `order` (rusk_order), linearly
 * interpolated. n > 0. */
double rusk_quantile(const float *values, const uint32_t *order, size_t n, double f);

#endif
