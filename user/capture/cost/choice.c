// SPDX-License-Identifier: GPL-2.0-or-later
/* What windows can watch; see choice.h. */
#include <string.h>

#include "capture/cost/choice.h"

bool choice_has_malloc(const struct object_plan *object)
{
	vec_for_each(probe, &object->probes)
		if (probe->function->group == GROUP_MALLOC)
			return true;
	return false;
}

bool choice_maps_through_library(const struct object_plan *object)
{
	return object->allocator && !object->c_library && choice_has_malloc(object);
}

bool choice_is_foreign(const struct probe_plan *plan)
{
	vec_for_each(object, &plan->objects)
		if (choice_has_malloc(object) && strcmp(object->allocator ?: "", "glibc"))
			return true;
	return false;
}

static bool has_described(const struct probe_plan *plan)
{
	vec_for_each(object, &plan->objects)
		vec_for_each(probe, &object->probes)
			if (probe->function->group == GROUP_DESCRIBED)
				return true;
	return false;
}

const char *choice_no_windows(const struct probe_plan *plan, enum attach_method method)
{
	if (method == ATTACH_SINGLE)
		return "they need uprobe_multi links, Linux 6.6";
	if (plan->has_go)
		return "it has Go code";
	if (!probe_plan_has_heap(plan))
		return "no function of its own gives it memory";
	if (has_described(plan))
		return "functions that --allocator describes are not seen in them";
	if (probe_plan_has_reports(plan))
		return "it tells of samples by itself";
	if (attach_windows_blind(plan))
		return "no return probe may be set in it";
	return NULL;
}
