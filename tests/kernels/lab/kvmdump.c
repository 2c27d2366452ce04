/* kvmdump: all that /dev/kvm says about MSRs and CPUID, asked by another program than msrtui, as JSON.
 *
 * cc -static -O2 -Wall -o kvmdump kvmdump.c; it takes no arguments. msrtui reads what it prints
 * (snapshot/importers/kvmdump.py). Every MSR index, CPUID register and 64-bit value is a hex STRING ("0x10a");
 * counts, capability values, ret and errno are JSON numbers. The exit status is 1 where /dev/kvm does not open.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <linux/kvm.h>

#ifndef KVM_GET_MSR_FEATURE_INDEX_LIST
#define KVM_GET_MSR_FEATURE_INDEX_LIST _IOWR(KVMIO, 0x0a, struct kvm_msr_list)
#endif
#define MAX_MSRS 4096
#define MAX_CPUID 1024
#define MAX_CAP 255

static char *buf;
static size_t len, room;
static void out(const char *fmt, ...)
{
	va_list ap;
	for (;;) {
		va_start(ap, fmt);
		int n = vsnprintf(buf + len, room - len, fmt, ap);
		va_end(ap);
		if (n >= 0 && (size_t)n < room - len) { len += n; return; }
		room = room ? room * 2 : 1 << 20;
		buf = realloc(buf, room);
		if (!buf) { perror("realloc"); exit(2); }
	}
}
static void str(const char *s)			/* a JSON string, always plain ASCII */
{
	out("\"");
	for (; *s; s++) {
		unsigned char c = *s;
		if (c == '"' || c == '\\') out("\\%c", c);
		else if (c == '\n') out("\\n");
		else if (c == '\t') out("\\t");
		else if (c < 0x20 || c > 0x7e) out("\\u%04x", c);
		else out("%c", c);
	}
	out("\"");
}
static void err(int e)				/* "errno": N, "error": "..." */
{
	out("\"errno\": %d, \"error\": ", e);
	str(strerror(e));
}
static const char *slurp(const char *path, char *b, size_t n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) return NULL;
	size_t got = 0;
	ssize_t r;
	while (got < n - 1 && (r = read(fd, b + got, n - 1 - got)) > 0) got += r;
	int e = errno;
	close(fd);
	errno = e;
	if (!got && r < 0) return NULL;
	b[got] = 0;
	return b;
}
static void file_value(const char *path)	/* the file's text less the last \n, or its errno */
{
	static char b[65536];
	if (!slurp(path, b, sizeof b)) { int e = errno; out("{"); err(e); out("}"); return; }
	size_t n = strlen(b);
	if (n && b[n - 1] == '\n') b[n - 1] = 0;
	str(b);
}
static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static int names(const char *dir, char **v, int max)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int n = 0;
	if (!d) return 0;
	while (n < max && (e = readdir(d)))
		if (e->d_name[0] != '.') v[n++] = strdup(e->d_name);
	closedir(d);
	qsort(v, n, sizeof *v, by_name);
	return n;
}
static void dir_values(const char *dir, const char *pad)
{
	char *v[256], p[1024];
	int n = names(dir, v, 256);
	out("{");
	for (int i = 0; i < n; i++) {
		struct stat st;
		snprintf(p, sizeof p, "%s/%s", dir, v[i]);
		if (stat(p, &st) || !S_ISREG(st.st_mode)) continue;
		if (buf[len - 1] != '{') out(",");
		out("\n%s ", pad);
		str(v[i]);
		out(": ");
		file_value(p);
	}
	out(n ? "\n%s}" : "}", pad);
}

static int nleaf;
static void leaf(uint32_t f, uint32_t s, int sub)
{
	uint32_t a, b, c, d;
	__cpuid_count(f, s, a, b, c, d);
	out("%s\n  {\"function\": \"0x%x\", \"index\": \"0x%x\", \"significant_index\": %s, "
	    "\"eax\": \"0x%08x\", \"ebx\": \"0x%08x\", \"ecx\": \"0x%08x\", \"edx\": \"0x%08x\"}",
	    nleaf++ ? "," : "", f, s, sub ? "true" : "false", a, b, c, d);
}
static void host_cpuid(void)
{
	uint32_t a, b, c, d, max, i, f;
	out(" \"host_cpuid\": [");
	__cpuid(0, max, b, c, d);
	for (f = 0; f <= max && f <= 0x40; f++) {
		uint32_t n = 0;
		switch (f) {
		case 4:
			for (n = 0; n < 32; n++) { __cpuid_count(f, n, a, b, c, d); leaf(f, n, 1); if (!(a & 0x1f)) break; }
			continue;
		case 0xb: case 0x1f:
			for (n = 0; n < 16; n++) { __cpuid_count(f, n, a, b, c, d); leaf(f, n, 1); if (!((c >> 8) & 0xff)) break; }
			continue;
		case 0xd:
			for (n = 0; n < 64; n++) {
				__cpuid_count(f, n, a, b, c, d);
				if (n < 2 || a | b | c | d) leaf(f, n, 1);
			}
			continue;
		case 0xf: leaf(f, 0, 1); leaf(f, 1, 1); continue;
		case 0x10: for (n = 0; n < 6; n++) leaf(f, n, 1); continue;
		case 0x12: for (n = 0; n < 4; n++) leaf(f, n, 1); continue;
		case 0x1b: leaf(f, 0, 1); continue;
		case 7: case 0x14: case 0x17: case 0x18: case 0x1d: case 0x20: case 0x24:
			__cpuid_count(f, 0, n, b, c, d);
			if (n > 31) n = 31;
			for (i = 0; i <= n; i++) leaf(f, i, 1);
			continue;
		case 0x1e: leaf(f, 0, 1); leaf(f, 1, 1); continue;
		case 0x23: for (n = 0; n < 6; n++) leaf(f, n, 1); continue;
		}
		leaf(f, 0, 0);
	}
	__cpuid(1, a, b, c, d);
	if (c >> 31) {
		uint32_t base;
		for (base = 0x40000000; base <= 0x40000100; base += 0x100) {
			__cpuid(base, max, b, c, d);
			leaf(base, 0, 0);
			if (max >= base && max <= base + 0x40)
				for (f = base + 1; f <= max; f++) leaf(f, 0, 0);
		}
	}
	__cpuid(0x80000000u, max, b, c, d);
	if (max >= 0x80000000u && max <= 0x80000100u)
		for (f = 0x80000000u; f <= max; f++) {
			if (f == 0x8000001d) {
				for (i = 0; i < 16; i++) { __cpuid_count(f, i, a, b, c, d); leaf(f, i, 1); if (!(a & 0x1f)) break; }
			} else if (f == 0x80000020) {
				for (i = 0; i < 4; i++) leaf(f, i, 1);
			} else if (f == 0x80000026) {
				for (i = 0; i < 8; i++) { __cpuid_count(f, i, a, b, c, d); leaf(f, i, 1); if (!((c >> 8) & 0xff)) break; }
			} else leaf(f, 0, 0);
		}
	out("\n ],\n");
}

static uint32_t idx[MAX_MSRS], feat[MAX_MSRS];
static int nidx, nfeat;

static int msr_list(int fd, unsigned long req, const char *key, uint32_t *dst)
{
	struct kvm_msr_list *l = calloc(1, sizeof *l + MAX_MSRS * 4);
	int ret, e;
	out("  \"%s\": {", key);
	l->nmsrs = 0;				/* the usual probe: E2BIG and the count */
	ret = ioctl(fd, req, l); e = errno;
	out("\"probe\": {\"ret\": %d, ", ret);
	if (ret < 0) { err(e); out(", "); }
	out("\"nmsrs\": %u}, ", l->nmsrs);
	l->nmsrs = MAX_MSRS;
	ret = ioctl(fd, req, l); e = errno;
	out("\"ret\": %d, ", ret);
	if (ret < 0) { err(e); out(", \"nmsrs\": %u, \"indices\": []},\n", l->nmsrs); free(l); return 0; }
	int n = l->nmsrs;
	out("\"nmsrs\": %d, \"indices\": [", n);
	for (int i = 0; i < n; i++) {
		dst[i] = l->indices[i];
		out("%s%s\"0x%x\"", i ? "," : "", i % 12 ? " " : "\n   ", dst[i]);
	}
	out("]},\n");
	free(l);
	return n;
}
static void get_msrs(int fd, const uint32_t *v, int n)	/* one at a time, an array of objects */
{
	struct { struct kvm_msrs h; struct kvm_msr_entry e[1]; } q;
	out("[");
	for (int i = 0; i < n; i++) {
		memset(&q, 0, sizeof q);
		q.h.nmsrs = 1;
		q.e[0].index = v[i];
		int ret = ioctl(fd, KVM_GET_MSRS, &q), e = errno;
		out("%s\n   {\"index\": \"0x%x\", \"ret\": %d, ", i ? "," : "", v[i], ret);
		if (ret == 1) out("\"value\": \"0x%llx\"}", (unsigned long long)q.e[0].data);
		else if (ret < 0) { err(e); out("}"); }
		else out("\"value\": null}");
	}
	out(n ? "\n  ]" : "]");
}
static struct kvm_cpuid2 *cpuid_list(int fd, unsigned long req, const char *key)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof *c + MAX_CPUID * sizeof c->entries[0]);
	/* from below: too few entries give E2BIG */
	int ret, e, tried = 0;
	uint32_t nent = 4;
	for (;;) {
		c->nent = nent;
		ret = ioctl(fd, req, c); e = errno;
		tried++;
		if (ret == 0 || e != E2BIG || nent >= MAX_CPUID) break;
		nent *= 2;
	}
	out("  \"%s\": {\"ret\": %d, \"calls\": %d, ", key, ret, tried);
	if (ret < 0) { err(e); out(", \"nent\": 0, \"entries\": []},\n"); free(c); return NULL; }
	out("\"nent\": %u, \"entries\": [", c->nent);
	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *p = &c->entries[i];
		out("%s\n   {\"function\": \"0x%x\", \"index\": \"0x%x\", \"flags\": %u, \"eax\": \"0x%08x\", "
		    "\"ebx\": \"0x%08x\", \"ecx\": \"0x%08x\", \"edx\": \"0x%08x\"}",
		    i ? "," : "", p->function, p->index, p->flags, p->eax, p->ebx, p->ecx, p->edx);
	}
	out("\n  ]},\n");
	return c;
}
static void value64(const char *key, int ret, uint64_t v)	/* errno is the ioctl's */
{
	int e = errno;
	out("  \"%s\": {\"ret\": %d, ", key, ret);
	if (ret < 0) err(e); else out("\"value\": \"0x%llx\"", (unsigned long long)v);
	out("},\n");
}
static void caps(int fd, const char *key)
{
	int first = 1;
	out("  \"%s\": {", key);
	for (int i = 0; i <= MAX_CAP; i++) {
		int ret = ioctl(fd, KVM_CHECK_EXTENSION, i), e = errno;
		out("%s%s\"%d\": ", first ? "" : ",", i % 12 ? " " : "\n   ", i);
		first = 0;
		if (ret < 0) { out("{"); err(e); out("}"); } else out("%d", ret);
	}
	out("\n  },\n");
}
static int kvm(const char *dev)
{
	int fd = open(dev, O_RDWR | O_CLOEXEC), e = errno;
	out(" \"kvm\": {\n  \"device\": "); str(dev); out(",\n");
	if (fd < 0) { out("  \"open\": {\"ok\": false, "); err(e); out("}\n },\n"); return 1; }
	out("  \"open\": {\"ok\": true},\n  \"api_version\": %d,\n", ioctl(fd, KVM_GET_API_VERSION, 0));
	nidx = msr_list(fd, KVM_GET_MSR_INDEX_LIST, "msr_index_list", idx);
	nfeat = msr_list(fd, KVM_GET_MSR_FEATURE_INDEX_LIST, "msr_feature_index_list", feat);
	out("  \"feature_msrs\": "); get_msrs(fd, feat, nfeat); out(",\n");
	struct kvm_cpuid2 *sup = cpuid_list(fd, KVM_GET_SUPPORTED_CPUID, "supported_cpuid");
	free(cpuid_list(fd, KVM_GET_EMULATED_CPUID, "emulated_cpuid"));
	free(cpuid_list(fd, KVM_GET_SUPPORTED_HV_CPUID, "supported_hv_cpuid"));
	uint64_t v = 0;
	struct kvm_device_attr attr = { .addr = (uintptr_t)&v };	/* group 0, attribute 0: XCOMP_GUEST_SUPP */
	int ret = ioctl(fd, KVM_GET_DEVICE_ATTR, &attr);
	value64("xcomp_guest_supp", ret, v);
	ret = ioctl(fd, KVM_X86_GET_MCE_CAP_SUPPORTED, &v);
	value64("mce_cap_supported", ret, v);
	caps(fd, "capabilities");
	int vm = ioctl(fd, KVM_CREATE_VM, 0), cpu = -1;
	e = errno;
	if (vm >= 0) {
		caps(vm, "vm_capabilities");
		cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
		e = errno;
	}
	out("  \"vcpu\": {\"vm_ok\": %s, \"vcpu_ok\": %s", vm >= 0 ? "true" : "false", cpu >= 0 ? "true" : "false");
	if (cpu < 0) { out(", "); err(e); }
	else {
		int r = sup ? ioctl(cpu, KVM_SET_CPUID2, sup) : -1;
		e = errno;
		out(", \"set_cpuid2\": {\"ret\": %d", r);
		if (r < 0) { out(", "); err(e); }
		out("},\n   \"msrs\": "); get_msrs(cpu, idx, nidx);
		close(cpu);
	}
	if (vm >= 0) close(vm);
	out("},\n");
	free(sup);
	close(fd);
	out("  \"done\": true\n },\n");
	return 0;
}
static void host_msrs(int fd, const char *key, const uint32_t *v, int n)
{
	out("  \"%s\": [", key);
	for (int i = 0; i < n; i++) {
		uint64_t x;
		ssize_t r = pread(fd, &x, 8, v[i]);
		int e = errno;
		out("%s\n   {\"index\": \"0x%x\", ", i ? "," : "", v[i]);
		if (r == 8) out("\"value\": \"0x%llx\"}", (unsigned long long)x);
		else { err(r < 0 ? e : EIO); out("}"); }
	}
	out(n ? "\n  ]" : "]");
}
static void cpuinfo(void)
{
	static char b[1 << 16];
	char *p, *line, *save;
	out(" \"cpuinfo_cpu0\": {");
	if (slurp("/proc/cpuinfo", b, sizeof b)) {
		if ((p = strstr(b, "\n\n"))) p[1] = 0;
		int first = 1;
		for (line = strtok_r(b, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
			char *c = strchr(line, ':'), *k;
			if (!c) continue;
			*c++ = 0;
			while (*c == ' ') c++;
			for (k = line + strlen(line); k > line && (k[-1] == '\t' || k[-1] == ' '); ) *--k = 0;
			out("%s\n  ", first ? "" : ","); first = 0;
			str(line); out(": "); str(c);
		}
	}
	out("\n },\n");
}
int main(void)
{
	cpu_set_t one;
	CPU_ZERO(&one); CPU_SET(0, &one);
	sched_setaffinity(0, sizeof one, &one);

	struct utsname u;
	uname(&u);
	out("{\n \"format\": 1,\n \"generator\": \"kvmdump\",\n \"uname\": {\"sysname\": "); str(u.sysname);
	out(", \"release\": "); str(u.release);
	out(", \"version\": "); str(u.version);
	out(", \"machine\": "); str(u.machine);
	out("},\n \"cmdline\": "); file_value("/proc/cmdline");
	out(",\n");
	cpuinfo();
	int rc = kvm("/dev/kvm");

	char *v[512], p[600];
	int n = names("/sys/module", v, 512), first = 1;
	out(" \"modules\": {");
	for (int i = 0; i < n; i++) {
		if (strncmp(v[i], "kvm", 3)) continue;
		out("%s\n  ", first ? "" : ","); first = 0;
		str(v[i]);
		snprintf(p, sizeof p, "/sys/module/%s/srcversion", v[i]);
		out(": {\"srcversion\": "); file_value(p);
		snprintf(p, sizeof p, "/sys/module/%s/parameters", v[i]);
		out(", \"parameters\": "); dir_values(p, "  ");
		out("}");
	}
	out("\n },\n \"vulnerabilities\": ");
	dir_values("/sys/devices/system/cpu/vulnerabilities", " ");
	out(",\n");
	host_cpuid();
	int m = open("/dev/cpu/0/msr", O_RDONLY | O_CLOEXEC), e = errno;
	out(" \"host_msr\": {\n  \"device\": \"/dev/cpu/0/msr\", ");
	if (m < 0) { out("\"open\": {\"ok\": false, "); err(e); out("}\n }\n}\n"); }
	else {
		out("\"open\": {\"ok\": true},\n");
		host_msrs(m, "feature_msrs", feat, nfeat); out(",\n");
		host_msrs(m, "index_msrs", idx, nidx); out("\n }\n}\n");
		close(m);
	}
	fwrite(buf, 1, len, stdout);
	return rc;
}
