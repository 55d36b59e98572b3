// Builds a filter with libseccomp from lines on stdin and writes its BPF to stdout: the reference
// of tests/libseccomp.rs. What libseccomp does not know is written to stderr: "ARCH NAME".
//   default ACTION | arch NAME | rule ACTION NAME COUNT {INDEX OP VALUE VALUE2}...
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static scmp_filter_ctx filter;
static char archs[8][32] = {"x86_64"};
static int arch_count = 1;

static void fail(const char *what, int rc) {
	fprintf(stderr, "failed: %s: %s\n", what, strerror(-rc));
	exit(1);
}

static int operator_of(const char *name) {
	static const char *const names[] = {"", "NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"};
	for (int i = 1; i < 8; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	fail(name, -EINVAL);
	return 0;
}

static void rule(void) {
	unsigned action;
	char name[64], op[16];
	int count;
	struct scmp_arg_cmp args[6];
	if (scanf("%x %63s %d", &action, name, &count) != 3 || count > 6)
		fail("rule", -EINVAL);
	for (int i = 0; i < count; i++) {
		if (scanf("%u %15s %lu %lu", &args[i].arg, op, &args[i].datum_a, &args[i].datum_b) != 4)
			fail("argument", -EINVAL);
		args[i].op = operator_of(op);
	}
	for (int i = 0; i < arch_count; i++)
		if (seccomp_syscall_resolve_name_arch(seccomp_arch_resolve_name(archs[i]), name) < 0)
			fprintf(stderr, "%s %s\n", archs[i], name);
	int number = seccomp_syscall_resolve_name(name);
	if (number == __NR_SCMP_ERROR)
		return;
	int rc = seccomp_rule_add_array(filter, action, number, count, args);
	// The same call with another action: the first stays.
	if (rc != 0 && rc != -EEXIST)
		fail(name, rc);
}

int main(void) {
	char word[32], name[32];
	unsigned action;
	int rc;
	while (scanf("%31s", word) == 1) {
		if (strcmp(word, "default") == 0 && scanf("%x", &action) == 1) {
			filter = seccomp_init(action);
			if (filter == NULL)
				fail("init", -ENOMEM);
		} else if (strcmp(word, "arch") == 0 && scanf("%31s", name) == 1) {
			rc = seccomp_arch_add(filter, seccomp_arch_resolve_name(name));
			if (rc != 0 && rc != -EEXIST)
				fail(name, rc);
			if (arch_count < 8)
				strcpy(archs[arch_count++], name);
		} else if (strcmp(word, "rule") == 0) {
			rule();
		} else {
			fail(word, -EINVAL);
		}
	}
	rc = seccomp_export_bpf(filter, STDOUT_FILENO);
	if (rc != 0)
		fail("export", rc);
	return 0;
}
