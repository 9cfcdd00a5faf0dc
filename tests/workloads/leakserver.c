// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A small HTTP server with a slow leak, for the demo and for tests of growth.
 * Each request renders a page (freed), looks a session up in a bounded
 * cache (steady), and remembers the request in a log that nobody ever
 * trims: remember_request() is what a profiler should find.
 *
 *	leakserver [-r REQUESTS_PER_S] [-t THREADS] [-S SECONDS] [-n]
 *
 * Prints "listening PORT pid PID"; listens on loopback only. It is its own client
 * (-r, default 200 a second) unless -n is given.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SESSIONS 512
#define USERS 2000

#define NOINLINE __attribute__((noinline))

struct session {
	unsigned int user;
	time_t last_seen;
	char *name;
	char basket[600];
};

struct log_entry {
	struct log_entry *next;
	time_t when;
	char *path;
	char agent[180];
};

struct request {
	unsigned int user;
	char path[128];
};

static struct {
	pthread_mutex_t lock;
	struct session *slots[SESSIONS];
} cache = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct {
	pthread_mutex_t lock;
	struct log_entry *first;
	unsigned long count;
} request_log = { .lock = PTHREAD_MUTEX_INITIALIZER };

static volatile sig_atomic_t stopping;
static int listener;
static uint16_t port;
static double rate = 200;

/* ---- what a request does ---- */

NOINLINE static struct session *create_session(unsigned int user)
{
	struct session *s = calloc(1, sizeof(*s));

	s->user = user;
	s->name = malloc(32);
	snprintf(s->name, 32, "customer-%u", user);
	return s;
}

NOINLINE static void evict_session(struct session *s)
{
	if (!s)
		return;
	free(s->name);
	free(s);
}

/* Direct-mapped: a newcomer throws out whoever sat in its slot. */
NOINLINE static void touch_session(unsigned int user, char name[32])
{
	struct session **slot = &cache.slots[user % SESSIONS];

	pthread_mutex_lock(&cache.lock);
	if (!*slot || (*slot)->user != user) {
		evict_session(*slot);
		*slot = create_session(user);
	}
	(*slot)->last_seen = time(NULL);
	strcpy(name, (*slot)->name);
	pthread_mutex_unlock(&cache.lock);
}

/* The leak: entries are added for statistics that were never written. */
NOINLINE static void remember_request(const struct request *req)
{
	struct log_entry *entry = malloc(sizeof(*entry));

	entry->when = time(NULL);
	entry->path = strdup(req->path);
	snprintf(entry->agent, sizeof(entry->agent), "user %u", req->user);
	pthread_mutex_lock(&request_log.lock);
	entry->next = request_log.first;
	request_log.first = entry;
	request_log.count++;
	pthread_mutex_unlock(&request_log.lock);
}

NOINLINE static char *render_page(const struct request *req, const char *name, size_t *len_ret)
{
	size_t cap = 4096 + req->user % 1024;
	char *page = malloc(cap);

	*len_ret = snprintf(page, cap,
			    "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n"
			    "Hello %s, you asked for %s\n", name, req->path);
	return page;
}

NOINLINE static bool parse_request(const char *text, struct request *ret)
{
	if (sscanf(text, "GET %127s", ret->path) != 1)
		return false;
	ret->user = 0;
	sscanf(ret->path, "/shop/%u", &ret->user);
	return true;
}

NOINLINE static void send_page(int fd, const char *page, size_t len)
{
	while (len) {
		ssize_t n = send(fd, page, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		page += n;
		len -= n;
	}
}

NOINLINE static void handle_request(int fd)
{
	char *text = malloc(2048);
	ssize_t n = recv(fd, text, 2047, 0);
	struct request req;

	if (n > 0) {
		text[n] = 0;
		if (parse_request(text, &req)) {
			char name[32];
			size_t len;
			char *page;

			touch_session(req.user, name);
			remember_request(&req);
			page = render_page(&req, name, &len);
			send_page(fd, page, len);
			free(page);
		}
	}
	free(text);
}

/* ---- threads ---- */

static void *serve(void *arg)
{
	(void)arg;
	while (!stopping) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			continue;
		handle_request(fd);
		close(fd);
	}
	return NULL;
}

NOINLINE static void ask(unsigned int user)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[256];

	if (!connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		int n = snprintf(text, sizeof(text), "GET /shop/%u/basket HTTP/1.0\r\n\r\n", user);

		if (send(fd, text, n, MSG_NOSIGNAL) == n)
			while (recv(fd, text, sizeof(text), 0) > 0)
				;
	}
	close(fd);
}

static void *load_self(void *arg)
{
	struct timespec pause = { 0, 1e9 / rate };
	unsigned int user = 1;

	(void)arg;
	if (rate <= 1)
		pause = (struct timespec){ 1, 0 };
	while (!stopping) {
		user = user * 1103515245 + 12345;
		ask((user >> 8) % USERS);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static int open_listener(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 64) ||
	    getsockname(fd, (struct sockaddr *)&at, &len)) {
		perror("leakserver");
		exit(1);
	}
	port = ntohs(at.sin_port);
	return fd;
}

static void stop(int signal)
{
	(void)signal;
	stopping = 1;
}

/* Until SIGTERM, SIGINT or the end of its time; threads end with the process. */
static void wait_for_end(double seconds)
{
	struct sigaction action = { .sa_handler = stop };
	struct timespec tick = { 0, 50000000 };

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	for (double t = 0; !stopping && (seconds <= 0 || t < seconds); t += 0.05)
		nanosleep(&tick, NULL);
}

int main(int argc, char **argv)
{
	double seconds = 0;
	bool own_load = true;
	int threads = 2;
	pthread_t thread;

	for (int c; (c = getopt(argc, argv, "r:t:S:n")) != -1;) {
		switch (c) {
		case 'r': rate = atof(optarg); break;
		case 't': threads = atoi(optarg); break;
		case 'S': seconds = atof(optarg); break;
		case 'n': own_load = false; break;
		default: return 2;
		}
	}
	listener = open_listener();
	for (int i = 0; i < threads; i++)
		pthread_create(&thread, NULL, serve, NULL);
	if (own_load && rate > 0)
		pthread_create(&thread, NULL, load_self, NULL);
	printf("listening %u pid %d\n", port, (int)getpid());
	fflush(stdout);
	wait_for_end(seconds);
	printf("%lu requests remembered\n", request_log.count);
	fflush(stdout);
	_exit(0);
}
